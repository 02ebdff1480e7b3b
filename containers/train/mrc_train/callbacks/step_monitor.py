"""Progress reports after each step, and the end of the run at the first loss that is not finite."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrc_train.callbacks.divergence import divergence_error
from mrc_train.data.coco import ImageRecord
from mrc_train.log import log
from mrc_train.model.detector import IMAGE_IDS
from mrc_train.progress import ProgressReporter
from mrc_train.tfgraph import v1
from mrc_train.watchdog import Watchdog

from tensorpack import Callback  # isort: skip

WATCHED_TENSORS = ["loss/total:0", IMAGE_IDS]
"""What StepMonitor fetches of every batch."""


class StepMonitor(Callback):
    """Reports progress, and raises NotFiniteError at the first loss that is not finite.

    Args:
        reporter: on rank 0; None on the other ranks.
        logdir: where the last good checkpoint is looked up.
        steps_per_epoch: of a complete epoch; an epoch that a signal interrupted is only completed.
        records: the training images, for their names.
        watchdog: gets a report of each step.
    """

    def __init__(
        self,
        reporter: ProgressReporter | None,
        logdir: Path,
        steps_per_epoch: int,
        records: Sequence[ImageRecord],
        watchdog: Watchdog,
    ) -> None:
        self._reporter = reporter
        self._watchdog = watchdog
        self._logdir = logdir
        self._steps_per_epoch = steps_per_epoch
        self._records = records
        self.chief_only = False

    def _before_train(self) -> None:
        self._watchdog.start(self.global_step)

    def _after_train(self) -> None:
        self._watchdog.stop()
        if self._reporter:
            self._reporter.end()

    def _before_epoch(self) -> None:
        remaining = self._steps_per_epoch - self.global_step % self._steps_per_epoch
        self.trainer.loop.steps_per_epoch = remaining

    def _before_run(self, _: Any) -> Any:
        graph = v1.get_default_graph()
        return v1.train.SessionRunArgs([graph.get_tensor_by_name(name) for name in WATCHED_TENSORS])

    def _after_run(self, _: Any, values: Any) -> None:
        batches = [*getattr(self.trainer, "earlier_batches", []), values.results]
        for loss, image_ids in batches:
            if not math.isfinite(loss):
                symptom = f"the loss is {loss} at step {self.global_step}, images {self._named(image_ids)}"
                raise divergence_error(symptom, self._logdir)
        self._watchdog.report(self.global_step)
        loss = sum(float(loss) for loss, _ in batches) / len(batches)
        if self._reporter and (
            progress := self._reporter.step_finished(self.global_step, self.epoch_num, loss)
        ):
            log.info(progress.line())

    def _named(self, image_ids: Sequence[int]) -> str:
        """Image ids with their files; joined splits may use one id for two images."""
        files: dict[int, list[str]] = {}
        for record in self._records:
            if record.image_id in image_ids:
                files.setdefault(record.image_id, []).append(str(record.path))
        return ", ".join(f"{number} ({' or '.join(files[number])})" for number in map(int, image_ids))

    def _after_epoch(self) -> None:
        if self._reporter:
            self._reporter.pause()
            self.trainer.monitors.put_scalar("images_per_second", self._reporter.images_per_second or 0.0)
