"""How far a run is: one line in the log and ``progress.json``, every few seconds."""

import json
import time
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mrc_train.checkpoints import replace

PERIOD_SECONDS = 5.0


@dataclass(frozen=True)
class Progress:
    """One report."""

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    images_per_second: float
    eta_seconds: int
    time: str

    def line(self) -> str:
        """The line that people and ``mrc-values status`` read from the log."""
        return (
            f"progress step={self.step}/{self.steps} epoch={self.epoch}/{self.epochs} loss={self.loss:.4f} "
            f"images_per_second={self.images_per_second:.1f} eta={timedelta(seconds=self.eta_seconds)}"
        )


class ProgressReporter:
    """Turns finished steps into reports.

    Args:
        path: ``progress.json``, replaced whole.
        steps, epochs: of the complete run.
        images_per_step: over all ranks.
    """

    def __init__(self, path: Path, steps: int, epochs: int, images_per_step: int) -> None:
        self._path = path
        self._steps = steps
        self._epochs = epochs
        self._images_per_step = images_per_step
        self._seconds: deque[float] = deque(maxlen=100)
        self._losses: list[float] = []
        self._last_step_at: float | None = None
        self._reported_at: float | None = None

    def finished(self, step: int, epoch: int, loss: float) -> str | None:
        """Note a finished step; gives the line to print when it is time for one, or at the end."""
        now = time.monotonic()
        if self._last_step_at is not None:
            self._seconds.append(now - self._last_step_at)
        self._last_step_at = now
        self._losses.append(loss)
        if self._reported_at is None:
            self._reported_at = now
        if now - self._reported_at < PERIOD_SECONDS and step != self._steps:
            return None
        self._reported_at = now
        report = self._report(step, epoch)
        self._losses.clear()
        replace(self._path, json.dumps(asdict(report)))
        return report.line()

    def paused(self) -> None:
        """The time until the next step is not training: an evaluation, a checkpoint."""
        self._last_step_at = None

    @property
    def images_per_second(self) -> float:
        """Over the last hundred steps; 0 before the second."""
        seconds = self._seconds_per_step()
        return round(self._images_per_step / seconds, 2) if seconds else 0.0

    def _seconds_per_step(self) -> float:
        return sum(self._seconds) / len(self._seconds) if self._seconds else 0.0

    def _report(self, step: int, epoch: int) -> Progress:
        return Progress(
            step=step,
            steps=self._steps,
            epoch=epoch,
            epochs=self._epochs,
            loss=sum(self._losses) / len(self._losses),
            images_per_second=self.images_per_second,
            eta_seconds=round((self._steps - step) * self._seconds_per_step()),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
