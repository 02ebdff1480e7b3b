"""Evaluation of the validation splits at the end of epochs."""

import json
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from mrc_cli.files import write_atomically

from mrc_train.callbacks.periods import is_due
from mrc_train.config import Config
from mrc_train.data.coco import Split
from mrc_train.data.sharding import shard
from mrc_train.detection_figures import DetectionFigures
from mrc_train.evaluation.background import BackgroundScorer, Job, ScoringError
from mrc_train.evaluation.coco_metrics import evaluate
from mrc_train.evaluation_log import EvaluationLog
from mrc_train.inference import coco_results
from mrc_train.log import log
from mrc_train.model.detector import INFERENCE_INPUTS
from mrc_train.ranks import Ranks
from mrc_train.stopping import StopRequest
from mrc_train.watchdog import Watchdog

from tensorpack import Callback  # isort: skip

Results = list[dict[str, Any]]
"""Detections in COCO's results format."""


class Evaluator(Callback):
    """COCO metrics of each validation split: every rank detects in its share of the images, rank 0 scores.

    Writes ``result/<split>-<step>.json``. With TRAIN.EVAL_ASYNC another process scores while training
    continues. An evaluation that fails, on whichever rank, is reported as such and training continues.

    Args:
        evaluation_log: where metrics and failures are reported; used on rank 0.
        request: an evaluation is abandoned when the run is asked to stop.
        watchdog: gets a report of each image.
    """

    def __init__(
        self,
        splits: Sequence[Split],
        ranks: Ranks,
        cfg: Config,
        output_names: Sequence[str],
        logdir: Path,
        evaluation_log: EvaluationLog,
        request: StopRequest,
        watchdog: Watchdog,
    ) -> None:
        self._splits = splits
        self._ranks = ranks
        self._cfg = cfg
        self._output_names = output_names
        self._logdir = logdir
        self._log = evaluation_log
        self._request = request
        self._watchdog = watchdog
        self._scorer = BackgroundScorer()
        self.chief_only = False

    @property
    def target_reached(self) -> bool:
        """Whether an evaluation reached the target; known on rank 0."""
        return self._log.target_reached

    def _setup_graph(self) -> None:
        self._run = self.trainer.get_predictor(INFERENCE_INPUTS, self._output_names)
        self._figures = DetectionFigures(self._run, self._cfg, self._logdir, self.trainer.monitors)

    def _trigger_step(self) -> None:
        self._collect()

    def _trigger_epoch(self) -> None:
        if is_due(self, self._cfg.TRAIN.EVAL_PERIOD):
            for split in self._splits:
                self._evaluate(split)
        self._collect(wait=self.epoch_num == self.trainer.max_epoch and not self._request.number)

    def _after_train(self) -> None:
        self._scorer.close()

    def _evaluate(self, split: Split) -> None:
        results, error = self._detect_share(split)
        if self._ranks.max(self._request.number):
            return
        shares = self._ranks.gather((results, error))
        if shares is None:
            return
        if errors := [text for _, text in shares if text]:
            self._log.failed(self.global_step, split, errors[0])
            return
        try:
            self._score(split, [result for share, _ in shares for result in share])
        except Exception as error:  # whatever is wrong with an evaluation does not concern the training
            self._log.failed(self.global_step, split, _one_line(error))
            return
        try:
            self._figures.draw(split, self.global_step)
        except Exception as error:
            log.warning(f"no figure of the detections in {split.name}: {_one_line(error)}")

    def _detect_share(self, split: Split) -> tuple[Results, str]:
        """This rank's detections, and what went wrong; the ranks have to agree before they communicate."""
        share = shard(split.records, self._ranks.rank, self._ranks.size)
        try:
            records = takewhile(lambda _: not self._request.number, share)
            return coco_results(self._run, self._watchdog.reporting(records), split.categories, self._cfg), ""
        except Exception as error:
            return [], _one_line(error)

    def _score(self, split: Split, results: Results) -> None:
        path = self._logdir / "result" / f"{split.name}-{self.global_step}.json"
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, json.dumps(results))
        except OSError as error:
            if self._cfg.TRAIN.EVAL_ASYNC:  # the other process reads the file
                raise
            log.warning(f"{path} cannot be written: {error.strerror}; it is scored all the same")
        if self._cfg.TRAIN.EVAL_ASYNC:
            self._scorer.submit(
                Job(self.global_step, split.name, split.annotation_file, path, self._cfg.MODE_MASK)
            )
        else:
            metrics = evaluate(split.annotation_file, results, self._cfg.MODE_MASK)
            self._log.scored(self.global_step, split, metrics)

    def _collect(self, wait: bool = False) -> None:
        """Report what the scoring process has finished since the last call; with ``wait``, everything."""
        splits = {split.name: split for split in self._splits}
        for job, outcome in self._scorer.finished(wait):
            if isinstance(outcome, ScoringError):
                self._log.failed(job.step, splits[job.split], str(outcome))
            else:
                self._log.scored(job.step, splits[job.split], outcome)


def _one_line(error: Exception) -> str:
    """``KeyError: 'area'``: without its type many a message says nothing."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
