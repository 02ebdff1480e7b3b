"""Progress of long work on stderr: a live bar for people, a line every few seconds when piped."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from mrc_cli.terminal import clock, one_line, say

SECONDS_BETWEEN_LINES = 10.0

Item = TypeVar("Item")


@contextmanager
def progress(
    description: str, total: int, unit: str = "", now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int], None]]:
    """Show the progress of ``total`` units of work; the block calls ``advance(n)`` after each ``n`` of them.

    The ETA assumes that the rest takes as long per unit as the work so far. ``now`` returns seconds.
    """
    description = one_line(description)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(escape(description), total=total)
            yield lambda count: bar.advance(task, count)
        return

    start = last_line = now()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, last_line
        done += count
        if done and now() - last_line >= SECONDS_BETWEEN_LINES:
            last_line = now()
            eta = clock((last_line - start) / done * (total - done))
            say(f"{description}: {' '.join(filter(None, (f'{done}/{total}', unit)))}, {eta} left")

    yield advance
    say(f"{description}: {' '.join(filter(None, (f'{done}/{total}', unit)))} in {clock(now() - start)}")


def tracked(items: Sequence[Item], description: str, unit: str = "") -> Iterator[Item]:
    """The items; each is done when the next one is asked for."""
    with progress(description, len(items), unit) as advance:
        for item in items:
            yield item
            advance(1)
