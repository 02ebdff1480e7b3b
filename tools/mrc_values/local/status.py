"""The status of a local release."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mrc_train import run_directory
from mrc_train.run_directory import RunProgress
from mrc_train.run_lines import Progress

from mrc_values import runs
from mrc_values.local import processes
from mrc_values.local.state import Phase, Release


@dataclass(frozen=True)
class Status:
    """A release as shown to the user.

    Attributes:
        ranks_alive: MPI ranks that are running now.
        seconds_since_step: since a running release last reported a step; None before the first step.
    """

    name: str
    state: str
    exit_code: int | None
    ranks: int
    ranks_alive: int
    progress: Progress | None
    checkpoint: str
    evaluation: Mapping[str, float] = field(default_factory=dict)
    run_dir: str = ""
    tensorboard: str = ""
    seconds_since_step: float | None = None

    def cells(self) -> tuple[str, ...]:
        """A row of the table with the columns runs.HEADER."""
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

    @property
    def warning(self) -> str:
        """A warning about a run that makes no progress, otherwise empty."""
        return runs.stall_warning(self.seconds_since_step)


def status_of(release: Release, now: datetime | None = None) -> Status:
    """The status of a release, from its processes and its run directory. ``now`` is for tests."""
    now = now or datetime.now(UTC)
    run_dir = Path(release.run_dir)
    progress = run_directory.read_progress(run_dir)
    evaluation = run_directory.last_evaluation(run_dir)
    tensorboard_runs = release.tensorboard is not None and release.tensorboard.process() is not None
    return Status(
        name=release.name,
        state=release.phase.value,
        exit_code=release.exit_code,
        ranks=release.ranks,
        ranks_alive=len(processes.ranks(release.mark)),
        progress=progress.progress if progress else None,
        checkpoint=run_directory.newest_checkpoint(run_dir) or "",
        evaluation=evaluation.metrics if evaluation else {},
        run_dir=release.run_dir,
        tensorboard=release.tensorboard_address if tensorboard_runs else "",
        seconds_since_step=_seconds_since_step(release, progress, now),
    )


def _seconds_since_step(release: Release, progress: RunProgress | None, now: datetime) -> float | None:
    """None when the release is not running, or has not reported a step since it was started."""
    if release.phase is not Phase.RUNNING or progress is None or progress.reported is None:
        return None
    if progress.reported < datetime.fromisoformat(release.started):
        return None
    return max((now - progress.reported).total_seconds(), 0.0)
