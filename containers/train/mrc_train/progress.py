"""How far a run is: a line in the log and progress.json, every few seconds."""

import json
import math
import threading
import time
from collections import deque
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from mrc_cli.files import write_atomically

from mrc_train.log import log
from mrc_train.run_lines import Progress

PERIOD_SECONDS = 5.0
HEARTBEAT_SECONDS = 20.0
AVERAGED_STEPS = 100
"""Steps behind the images per second that are reported."""

ETA_STEPS = 1000
"""Steps behind the ETA: other programs that come and go change the speed of a machine for a minute or two."""


class ProgressReporter:
    """Turns finished steps into reports.

    Args:
        path: progress.json, replaced atomically. A failed write is logged once and does not end the training.
        steps, epochs: of the complete run.
        images_per_step: over all ranks.
        evaluation_period: steps between evaluations, of which one follows the last step; 0 for none.
    """

    def __init__(
        self, path: Path, steps: int, epochs: int, images_per_step: int, evaluation_period: int = 0
    ) -> None:
        self._path = path
        self._steps = steps
        self._epochs = epochs
        self._images_per_step = images_per_step
        self._evaluation_period = evaluation_period
        self._evaluation_seconds = 0.0
        self._step_seconds: deque[float] = deque(maxlen=ETA_STEPS)
        self._losses: list[float] = []
        self._last_step_at: float | None = None
        self._paused_at: float | None = None
        self._reported_at: float | None = None
        self._write_failed = False
        self._progress: Progress | None = None
        self._written_at = 0.0
        self._reported_time = ""
        self._lock = threading.Lock()

    def step_finished(self, step: int, epoch: int, loss: float) -> Progress | None:
        """Take note of a finished step; returns a report when one is due, or after the last step."""
        now = time.monotonic()
        if self._last_step_at is not None:
            self._step_seconds.append(now - self._last_step_at)
        elif self._paused_at is not None and self._evaluated_after(step - 1):
            self._evaluation_seconds = now - self._paused_at - self._mean_step_seconds(ETA_STEPS)
        self._last_step_at = now
        self._losses.append(loss)
        if self._reported_at is None:
            self._reported_at = now
        if now - self._reported_at < PERIOD_SECONDS and step != self._steps:
            return None
        self._reported_at = now
        progress = self._current_progress(step, epoch)
        self._losses.clear()
        with self._lock:
            self._progress, self._reported_time = progress, _now()
            self._write()
        return progress

    def end(self) -> None:
        """After the last step and its evaluation, nothing is left to do."""
        with self._lock:
            if self._progress and self._progress.step == self._steps and self._progress.eta_seconds:
                self._progress = replace(self._progress, eta_seconds=0)
                self._write()

    def heartbeat(self) -> None:
        """Renew the file's heartbeat when no report has done so for a while. Any thread may call this."""
        with self._lock:
            if self._progress and time.monotonic() - self._written_at > HEARTBEAT_SECONDS:
                self._write()

    def pause(self) -> None:
        """Leave the time until the next step out of the rate: it is an evaluation or a checkpoint."""
        self._last_step_at, self._paused_at = None, time.monotonic()

    @property
    def images_per_second(self) -> float | None:
        """Over the last hundred steps; None before the second."""
        seconds = self._mean_step_seconds(AVERAGED_STEPS)
        return round(self._images_per_step / seconds, 2) if seconds else None

    def _mean_step_seconds(self, count: int) -> float:
        """The mean of the last ``count`` steps; 0 before the second."""
        last = list(self._step_seconds)[-count:]
        return sum(last) / len(last) if last else 0.0

    def _evaluated_after(self, step: int) -> bool:
        period = self._evaluation_period
        return bool(period) and (step % period == 0 or step == self._steps)

    def _eta_seconds(self, step: int) -> int | None:
        """Until the end of the run, if steps stay as fast as those before and evaluations as the last one."""
        seconds, evaluations = self._mean_step_seconds(ETA_STEPS), 0
        if not seconds and step != self._steps:
            return None
        if self._evaluation_period:
            done = (step - 1) // self._evaluation_period  # the one after this step, if any, is still to come
            evaluations = math.ceil(self._steps / self._evaluation_period) - done
        return round((self._steps - step) * seconds + evaluations * self._evaluation_seconds)

    def _current_progress(self, step: int, epoch: int) -> Progress:
        return Progress(
            step=step,
            steps=self._steps,
            epoch=epoch,
            epochs=self._epochs,
            loss=sum(self._losses) / len(self._losses),
            images_per_second=self.images_per_second,
            eta_seconds=self._eta_seconds(step),
        )

    def _write(self) -> None:
        assert self._progress is not None, "there has been a report"
        self._written_at = time.monotonic()
        times = {"time": self._reported_time, "heartbeat": _now()}
        try:
            write_atomically(self._path, json.dumps({**asdict(self._progress), **times}))
            self._write_failed = False
        except OSError as error:
            if not self._write_failed:
                log.warning(f"{self._path} cannot be written: {error.strerror}; training continues")
            self._write_failed = True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
