"""Output of a launcher in the foreground: a progress bar for people, every line for programs."""

import sys
from typing import TYPE_CHECKING

from mrc_cli.terminal import clock, printable, result
from mrc_train.run_lines import Progress

from mrc_values.launcher_log import without_colors

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


MAX_TAIL = 400
"""Lines kept for the message about a failed run."""


class LauncherOutput:
    """Shows a launcher's lines as they arrive. On a terminal, progress lines move a bar instead.

    Attributes:
        tail: the newest lines, at most MAX_TAIL.
    """

    def __init__(self) -> None:
        self.tail: list[str] = []
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "LauncherOutput":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, line: str) -> None:
        """Show one line of the launcher."""
        self.tail = [*self.tail[1 - MAX_TAIL :], line]
        if self._bar is None:
            result(without_colors(line))
            return
        progress = Progress.parse(line)
        if progress is not None:
            self._advance(self._bar, progress)
        elif sys.stdout.isatty():
            self._bar.console.print(
                printable(without_colors(line)), markup=False, highlight=False, soft_wrap=True
            )
        else:
            result(without_colors(line))

    def _advance(self, bar: "Bar", progress: "Progress") -> None:
        text = f"loss {progress.loss:.4f}" if progress.loss is not None else ""
        if progress.images_per_second is not None:
            text += f"  {progress.images_per_second:.1f} images/s"
        if progress.eta_seconds is not None:
            text += f"  ETA {clock(progress.eta_seconds)}"
        if self._task is None:
            self._task = bar.add_task(text, total=progress.steps)
        bar.update(self._task, completed=progress.step, total=progress.steps, description=text)
