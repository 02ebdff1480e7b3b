"""What happens beside the steps: progress, the guard against NaN, evaluation."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from mrc_train.checkpoints import all_prefixes, newest_whole, replace
from mrc_train.config import Config
from mrc_train.data.coco import Split
from mrc_train.data.sharding import shard
from mrc_train.drawing import detections_beside_truth
from mrc_train.errors import NotFiniteError
from mrc_train.evaluation.coco_metrics import evaluate
from mrc_train.inference import coco_results, detect, readable
from mrc_train.log import log
from mrc_train.model.detector import IMAGE_IDS, INFERENCE_INPUTS
from mrc_train.progress import ProgressReporter
from mrc_train.ranks import Ranks
from mrc_train.tfgraph import v1

from tensorpack import Callback, JSONWriter, ModelSaver  # isort: skip


class StepMonitor(Callback):
    """Reports progress, and stops the run at the first loss that is not finite.

    Args:
        reporter: of rank 0; None on the other ranks.
        logdir: where the last good checkpoint is looked for.
    """

    def __init__(self, reporter: ProgressReporter | None, logdir: Path) -> None:
        self._reporter = reporter
        self._logdir = logdir
        self.chief_only = False

    def _before_run(self, _: Any) -> Any:
        graph = v1.get_default_graph()
        return v1.train.SessionRunArgs(
            [graph.get_tensor_by_name(name) for name in ("loss/total:0", IMAGE_IDS)]
        )

    def _after_run(self, _: Any, values: Any) -> None:
        loss, image_ids = values.results
        if not math.isfinite(loss):
            checkpoint = newest_whole(self._logdir)
            raise NotFiniteError(
                f"the loss is {loss} at step {self.global_step}, images {image_ids.tolist()}; "
                f"the last good checkpoint is {checkpoint or 'none'}. Lower TRAIN.BASE_LR, lengthen "
                f"TRAIN.WARMUP or set TRAIN.GRADIENT_CLIP, and start again to go on from the checkpoint."
            )
        if self._reporter and (
            line := self._reporter.finished(self.global_step, self.epoch_num, float(loss))
        ):
            log.info(line)

    def _after_epoch(self) -> None:
        if self._reporter:
            self._reporter.paused()
            self.trainer.monitors.put_scalar("images_per_second", self._reporter.images_per_second)


class Checkpoints(ModelSaver):
    """Saves model-<step> every ``period`` epochs and after the last; keeps the newest five.

    The epoch's entry in stats.json is written first: a run killed in between has no gap there.
    """

    def __init__(self, period: int, statistics: JSONWriter) -> None:
        super().__init__(max_to_keep=5, keep_checkpoint_every_n_hours=1_000_000)
        self._period = period
        self._statistics = statistics

    def _before_train(self) -> None:
        """Adopt the checkpoints of earlier starts, so that they are counted among the five.

        tensorpack's own method would write the whole graph at every start; nothing here reads it.
        """
        self.saver.recover_last_checkpoints(
            [str(prefix) for prefix in all_prefixes(Path(self.checkpoint_dir))]
        )

    def _trigger(self) -> None:
        if _due(self, self._period):
            self._statistics.trigger()
            super()._trigger()


def _due(callback: Callback, period: int) -> bool:
    return bool(callback.epoch_num % period == 0 or callback.epoch_num == callback.trainer.max_epoch)


class Evaluation(Callback):
    """COCO metrics of each validation split: every rank predicts a share, rank 0 scores them all.

    Writes result/<split>-<step>.json, scalars such as ``bbox/AP50`` (with the split's name in front when
    there are several) and a picture of detections beside the truth, always of the same image.
    """

    def __init__(
        self, splits: Sequence[Split], ranks: Ranks, cfg: Config, output_names: Sequence[str], logdir: Path
    ) -> None:
        self._splits = splits
        self._ranks = ranks
        self._cfg = cfg
        self._output_names = output_names
        self._logdir = logdir
        self.chief_only = False

    def _setup_graph(self) -> None:
        self._run = self.trainer.get_predictor(INFERENCE_INPUTS, self._output_names)

    def _trigger_epoch(self) -> None:
        if _due(self, self._cfg.TRAIN.EVAL_PERIOD):
            for split in self._splits:
                self._evaluate(split)

    def _evaluate(self, split: Split) -> None:
        mine = shard(split.records, self._ranks.rank, self._ranks.size)
        gathered = self._ranks.gather(coco_results(self._run, mine, split.categories, self._cfg))
        if gathered is None:
            return
        results = [result for part in gathered for result in part]
        path = self._logdir / "result" / f"{split.name}-{self.global_step}.json"
        path.parent.mkdir(exist_ok=True)
        replace(path, json.dumps(results))
        prefix = f"{split.name}/" if len(self._splits) > 1 else ""
        metrics = evaluate(split.annotation_file, results, masks=self._cfg.MODE_MASK)
        for name, value in metrics.items():
            self.trainer.monitors.put_scalar(prefix + name, value)
        shown = "  ".join(
            f"{name} {metrics[name]:.3f}" for name in metrics if name.split("/")[1] in ("AP", "AP50")
        )
        log.info(f"evaluation step={self.global_step} {split.name} ({len(split.records)} images): {shown}")
        self._show(split)

    def _show(self, split: Split) -> None:
        shown = next(readable(split.records), None)
        if shown is None:
            return
        record, picture = shown
        drawn = detections_beside_truth(
            picture,
            detect(self._run, picture, self._cfg),
            record,
            split.categories,
            self._cfg.TEST.RESULT_SCORE_THRESH_VIS,
        )
        _, png = cv2.imencode(".png", drawn)
        path = self._logdir / "pictures" / f"{split.name}-{self.global_step}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png.tobytes())
        height, width = drawn.shape[:2]
        image = v1.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png.tobytes())
        self.trainer.monitors.put_summary(
            v1.Summary(value=[v1.Summary.Value(tag=f"detections/{split.name}", image=image)])
        )
