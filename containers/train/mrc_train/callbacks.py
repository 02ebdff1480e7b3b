"""What happens beside the steps: progress, the guard against NaN, checkpoints, evaluation, the end."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mrc_train import dashboard
from mrc_train.checkpoints import all_prefixes, newest_whole, replace
from mrc_train.config import Config, Test
from mrc_train.data.coco import ImageRecord, Split
from mrc_train.data.sharding import shard
from mrc_train.drawing import detections_beside_ground_truth
from mrc_train.errors import NotFiniteError, RunDirectoryError
from mrc_train.evaluation.background import BackgroundScorer, Job, ScoringError
from mrc_train.evaluation.coco_metrics import evaluate
from mrc_train.inference import coco_results, detect, readable
from mrc_train.log import log
from mrc_train.model.detector import IMAGE_IDS, INFERENCE_INPUTS
from mrc_train.precision import LOSS_SCALE
from mrc_train.progress import ProgressReporter
from mrc_train.ranks import Ranks
from mrc_train.statistics import Events, Statistics
from mrc_train.stopping import StopRequest
from mrc_train.tfgraph import tf, v1

from tensorpack import Callback, ModelSaver, StopTraining  # isort: skip

PICTURES = 4
"""As many of a split are drawn at each evaluation."""

WATCHED = ["loss/total:0", IMAGE_IDS]
"""What StepMonitor looks at in every batch."""


def _not_finite(what: str, logdir: Path) -> NotFiniteError:
    return NotFiniteError(
        f"{what}; the last good checkpoint is {newest_whole(logdir) or 'none'}. Lower TRAIN.BASE_LR, "
        f"lengthen TRAIN.WARMUP or set TRAIN.GRADIENT_CLIP, and start again to go on from the checkpoint."
    )


class StepMonitor(Callback):
    """Reports progress, and stops the run at the first loss that is not finite.

    Args:
        reporter: of rank 0; None on the other ranks.
        logdir: where the last good checkpoint is looked for.
        steps_per_epoch: of a whole epoch; one that a signal cut off is only finished.
        records: the training pictures, for their names.
    """

    def __init__(
        self,
        reporter: ProgressReporter | None,
        logdir: Path,
        steps_per_epoch: int,
        records: Sequence[ImageRecord],
    ) -> None:
        self._reporter = reporter
        self._logdir = logdir
        self._steps_per_epoch = steps_per_epoch
        self._records = records
        self.chief_only = False

    def _before_epoch(self) -> None:
        left = self._steps_per_epoch - self.global_step % self._steps_per_epoch
        self.trainer.loop.steps_per_epoch = left

    def _before_run(self, _: Any) -> Any:
        graph = v1.get_default_graph()
        return v1.train.SessionRunArgs([graph.get_tensor_by_name(name) for name in WATCHED])

    def _after_run(self, _: Any, values: Any) -> None:
        batches = [*getattr(self.trainer, "earlier", []), values.results]
        for loss, image_ids in batches:
            if not math.isfinite(loss):
                what = f"the loss is {loss} at step {self.global_step}, images {self._named(image_ids)}"
                raise _not_finite(what, self._logdir)
        loss = sum(float(loss) for loss, _ in batches) / len(batches)
        if self._reporter and (line := self._reporter.finished(self.global_step, self.epoch_num, loss)):
            log.info(line)

    def _named(self, image_ids: Sequence[int]) -> str:
        """Ids with their files: joined splits may use an id twice."""
        files: dict[int, list[str]] = {}
        for record in self._records:
            if record.image_id in image_ids:
                files.setdefault(record.image_id, []).append(str(record.path))
        return ", ".join(f"{number} ({' or '.join(files[number])})" for number in map(int, image_ids))

    def _after_epoch(self) -> None:
        if self._reporter:
            self._reporter.paused()
            self.trainer.monitors.put_scalar("images_per_second", self._reporter.images_per_second)


class LossScale(Callback):
    """Names the steps that mixed precision leaves out, and stops a run that leaves out all.

    The loss of such a step is a number, its gradients are not: they were too large for float16.

    Args:
        logdir: where the last good checkpoint is looked for.
    """

    def __init__(self, logdir: Path) -> None:
        self._logdir = logdir
        self.chief_only = False

    def _setup_graph(self) -> None:
        (self._scale,) = [v for v in v1.global_variables() if v.op.name == LOSS_SCALE]
        with tf.control_dependencies([self.trainer.train_op]):
            self._after_step = self._scale.read_value()

    def _before_train(self) -> None:
        self._before = float(v1.get_default_session().run(self._scale))

    def _before_run(self, _: Any) -> Any:
        return v1.train.SessionRunArgs(self._after_step)

    def _after_run(self, _: Any, values: Any) -> None:
        scale, before = float(values.results), self._before
        if scale <= 1:
            what = f"gradients are NaN or infinite at step {self.global_step}, whatever the loss scale"
            raise _not_finite(what, self._logdir)
        if scale < before and self.trainer.is_chief:
            log.info(f"step {self.global_step} left out: gradients beyond float16; loss scale now {scale:g}")
        self._before = scale


class Checkpoints(ModelSaver):
    """Saves model-<step> every ``period`` epochs and after the last; keeps the newest five.

    The epoch's entry in stats.json is written first: a run killed in between has no gap there.
    """

    def __init__(self, period: int, statistics: Statistics) -> None:
        super().__init__(max_to_keep=5, keep_checkpoint_every_n_hours=1_000_000)
        self._period = period
        self._statistics = statistics
        self._saved_step = -1

    def _setup_graph(self) -> None:
        super()._setup_graph()
        floats = [variable for variable in v1.global_variables() if variable.dtype.base_dtype.is_floating]
        self._all_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in floats])

    def _before_train(self) -> None:
        """Adopt the checkpoints of earlier starts, so that they are counted among the five.

        tensorpack's own method would write the whole graph at every start; nothing here reads it.
        """
        self.saver.recover_last_checkpoints(
            [str(prefix) for prefix in all_prefixes(Path(self.checkpoint_dir))]
        )

    def _trigger(self) -> None:
        if _due(self, self._period):
            self.save()

    def save(self) -> None:
        """Save the step at hand, once.

        Raises:
            NotFiniteError: for weights that are no numbers: going on from them would be in vain.
            RunDirectoryError: when the file cannot be written. The checkpoints before it stay.
        """
        if self._saved_step == self.global_step:
            return
        folder, session = Path(self.checkpoint_dir), v1.get_default_session()
        if not session.run(self._all_finite):
            raise _not_finite(f"weights are NaN or infinite after step {self.global_step}", folder)
        self._statistics.trigger()
        name = f"model-{self.global_step}"
        try:
            self.saver.save(session, self.path, global_step=self.global_step, write_meta_graph=False)
        except (OSError, tf.errors.OpError) as error:
            for part in folder.glob(f"{name}.*"):
                part.unlink()
            # TensorFlow's message is a page; of the lines that name the file one ends with the reason.
            reason = re.search(rf"{name}\S*; (.+)", str(error))
            # Going on would only lose more: the next one would fail as well.
            raise RunDirectoryError(
                f"{folder / name} cannot be saved: {reason[1] if reason else error}; the last good "
                f"checkpoint is {newest_whole(folder) or 'none'}. Make room and start again to go on from it."
            ) from None
        self._saved_step = self.global_step


def _due(callback: Callback, period: int) -> bool:
    return bool(callback.epoch_num % period == 0 or callback.epoch_num == callback.trainer.max_epoch)


class Evaluation(Callback):
    """COCO metrics of each validation split: every rank predicts a share, rank 0 scores them all.

    Writes result/<split>-<step>.json, scalars such as ``bbox/AP50`` (with the split's name in front when
    there are several) and a few pictures of detections beside the truth, always of the same images. With
    TRAIN.EVAL_ASYNC another process scores, and the scalars come some steps later, with the step that they
    are of.

    Args:
        late: where scalars of an earlier step go; of rank 0.
        request: an evaluation is cut off when the run is asked to stop.
    """

    def __init__(
        self,
        splits: Sequence[Split],
        ranks: Ranks,
        cfg: Config,
        output_names: Sequence[str],
        logdir: Path,
        late: Sequence[Statistics | Events],
        request: StopRequest,
    ) -> None:
        self._splits = splits
        self._ranks = ranks
        self._cfg = cfg
        self._output_names = output_names
        self._logdir = logdir
        self._late = late
        self._request = request
        self._scorer = BackgroundScorer()
        self.chief_only = False
        self.target_reached = False

    def _setup_graph(self) -> None:
        self._run = self.trainer.get_predictor(INFERENCE_INPUTS, self._output_names)

    def _trigger_step(self) -> None:
        self._collect()

    def _trigger_epoch(self) -> None:
        if _due(self, self._cfg.TRAIN.EVAL_PERIOD):
            for split in self._splits:
                self._evaluate(split)
        self._collect(wait=self.epoch_num == self.trainer.max_epoch and not self._request.number)

    def _after_train(self) -> None:
        self._scorer.close()

    def _evaluate(self, split: Split) -> None:
        mine = takewhile(
            lambda _: not self._request.number, shard(split.records, self._ranks.rank, self._ranks.size)
        )
        found = coco_results(self._run, mine, split.categories, self._cfg)
        if self._ranks.max(self._request.number):
            return
        gathered = self._ranks.gather(found)
        if gathered is None:
            return
        results = [result for part in gathered for result in part]
        path = self._logdir / "result" / f"{split.name}-{self.global_step}.json"
        path.parent.mkdir(exist_ok=True)
        replace(path, json.dumps(results))
        masks = self._cfg.MODE_MASK
        if self._cfg.TRAIN.EVAL_ASYNC:
            self._scorer.submit(Job(self.global_step, split.name, split.annotation_file, path, masks))
        else:
            self._record(self.global_step, split.name, evaluate(split.annotation_file, results, masks))
        self._show(split)

    def _collect(self, wait: bool = False) -> None:
        try:
            for job, metrics in self._scorer.finished(wait):
                self._record(job.step, job.split, metrics)
        except ScoringError as error:
            log.warning(f"{error}; training goes on")

    def _record(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        prefix = f"{split}/" if len(self._splits) > 1 else ""
        # -1, where there is no object to count, would stretch the axis of a chart.
        scalars = {prefix + name: value for name, value in metrics.items() if value >= 0}
        if step == self.global_step:
            for name, value in scalars.items():
                self.trainer.monitors.put_scalar(name, value)
        else:
            for monitor in self._late:
                monitor.add(step, scalars)
        shown = "  ".join(
            f"{name} {metrics[name]:.3f}" for name in metrics if name.split("/")[1] in ("AP", "AP50")
        )
        images = next(len(each.records) for each in self._splits if each.name == split)
        log.info(f"evaluation step={step} {split} ({images} images): {shown}")
        if split == self._splits[0].name and reaches_target(self._cfg.TEST, metrics):
            self.target_reached = True

    def _show(self, split: Split) -> None:
        """The first of a few pictures, spread over the split and always the same, is a file, too."""
        places = np.linspace(0, len(split.records) - 1, min(PICTURES, len(split.records))).astype(int)
        for number, (record, picture) in enumerate(readable(split.records[place] for place in places), 1):
            drawn = detections_beside_ground_truth(
                picture,
                detect(self._run, picture, self._cfg),
                record,
                split.categories,
                self._cfg.TEST.RESULT_SCORE_THRESH_VIS,
            )
            if number == 1:
                path = self._logdir / "pictures" / f"{split.name}-{self.global_step}.png"
                path.parent.mkdir(exist_ok=True)
                cv2.imwrite(str(path), drawn)
            tag = f"detections/{split.name}/{number}-{record.path.name}"
            self.trainer.monitors.put_summary(dashboard.picture(tag, drawn))


def reaches_target(test: Test, metrics: Mapping[str, float]) -> bool:
    """Whether metrics of the first validation split are what TEST.BOX_TARGET and TEST.MASK_TARGET ask for."""
    targets = {"bbox/AP": test.BOX_TARGET, "segm/AP": test.MASK_TARGET}
    wanted = {name: target for name, target in targets.items() if target is not None}
    return bool(wanted) and all(metrics.get(name, -1) >= target for name, target in wanted.items())


class Stopping(Callback):
    """Ends the run on all ranks after the same step, with a checkpoint of it. The last of the callbacks.

    Args:
        request: of this process; the signal of any rank stops all.
        target_reached: whether an evaluation gave the target; asked on rank 0.
        checkpoints: of rank 0; None on the other ranks.

    Attributes:
        number: the signal that ended the run, else 0.
        at_target: whether the run ended because it reached its target.
    """

    def __init__(
        self,
        ranks: Ranks,
        request: StopRequest,
        target_reached: Callable[[], bool] | None,
        checkpoints: Checkpoints | None,
    ) -> None:
        self._ranks = ranks
        self._request = request
        self._target_reached = target_reached
        self._checkpoints = checkpoints
        self.chief_only = False
        self.number = 0
        self.at_target = False

    def _trigger_step(self) -> None:
        # After the last step of an epoch comes what belongs to its end, first.
        if self.local_step < self.trainer.steps_per_epoch - 1:
            self._stop_if_asked()

    def _trigger_epoch(self) -> None:
        self._stop_if_asked()
        if self._target_reached and self._ranks.max(self._target_reached()):
            self.at_target = True
            self._save_and_stop()

    def _stop_if_asked(self) -> None:
        self.number = self._ranks.max(self._request.number)
        if self.number:
            self._save_and_stop()

    def _save_and_stop(self) -> None:
        if self._checkpoints:
            self._checkpoints.save()
        self._ranks.broadcast(None)  # no rank leaves, which would end the others, before all is saved
        raise StopTraining
