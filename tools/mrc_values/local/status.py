"""What `mrc-values local status` and `logs` tell."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mrc_cli.errors import UserError

from mrc_values import runs
from mrc_values.local import processes, progress
from mrc_values.local.progress import Progress
from mrc_values.local.state import Phase, Release, Store


@dataclass(frozen=True)
class Status:
    """A release as a user sees it. ``ranks_alive`` counts MPI ranks that run now."""

    name: str
    state: str
    exit_code: int | None
    ranks: int
    ranks_alive: int
    progress: Progress
    checkpoint: str
    evaluation: dict[str, float] = field(default_factory=dict)
    run_folder: str = ""
    tensorboard: str = ""

    def cells(self) -> tuple[str, ...]:
        """A row of the table, under runs.HEADER."""
        state = f"{self.state} ({self.exit_code})" if self.state == Phase.FAILED else self.state
        return runs.cells(
            self.name,
            state,
            f"{self.ranks_alive}/{self.ranks}",
            self.progress,
            self.checkpoint,
            self.evaluation,
            running=self.state == Phase.RUNNING,
        )


def status_of(release: Release) -> Status:
    """How a release stands, from its processes and its folder."""
    folder = Path(release.run_folder)
    board = release.tensorboard is not None and release.tensorboard.process() is not None
    return Status(
        name=release.name,
        state=release.phase.value,
        exit_code=release.exit_code,
        ranks=release.ranks,
        ranks_alive=len(processes.ranks(release.mark)),
        progress=progress.read(folder),
        checkpoint=progress.newest_checkpoint(folder),
        evaluation=progress.last_evaluation(folder),
        run_folder=release.run_folder,
        tensorboard=release.tensorboard_address if board else "",
    )


def log_lines(store: Store, name: str, follow: bool, pause: float = 0.2) -> Iterator[str]:
    """Lines of the launcher's log; with ``follow`` until the run has ended.

    Raises UserError when there is no log yet and none to wait for.
    """
    release = store.get(name)
    while not release.log.exists():
        if not follow or release.phase is not Phase.RUNNING:
            raise UserError(f"{release.log} does not exist yet.")
        time.sleep(pause)
        release = store.get(name)
    with release.log.open(errors="replace") as log:
        part = ""
        while True:
            # Asked before reading: what was written before the end is read after the question.
            running = follow and store.get(name).phase is Phase.RUNNING
            for text in log:
                part += text
                if part.endswith("\n"):
                    yield part.rstrip("\n")
                    part = ""
            if not running:
                break
            time.sleep(pause)
        if part:
            yield part
