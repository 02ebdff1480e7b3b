"""Prints the changes of a job while a command waits for it."""

import sys
import time
from typing import Any

from mrc_cli.terminal import clock, printable, result

from mrc_values.cluster.waiting import Observation


class ChangePrinter:
    """Prints each change of a job once; on a terminal a live line with the elapsed time follows below."""

    def __init__(self) -> None:
        self._printed: list[str] = []
        self._started = time.monotonic()
        self._live: Any = None

    def __enter__(self) -> "ChangePrinter":
        if sys.stdout.isatty():
            from rich.console import Console

            self._live = Console().status("")
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, observation: Observation) -> None:
        """Print what changed since the previous observation."""
        lines = observation.lines()
        if lines != self._printed:
            self._printed = lines
            for line in lines:
                if self._live:  # above the live line, neither wrapped nor read as markup
                    self._live.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
                else:
                    result(line)
        if self._live:
            from rich.text import Text

            elapsed = clock(time.monotonic() - self._started)
            self._live.update(Text(f"{printable(observation.headline())}  {elapsed}"))
