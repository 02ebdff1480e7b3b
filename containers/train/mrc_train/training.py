"""One training run: what ``mrc-train`` does once settings and data are known to be good."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrc_train import checkpoints, dashboard, session, side_files
from mrc_train.callbacks.checkpoint_saver import CheckpointSaver
from mrc_train.callbacks.evaluator import Evaluator
from mrc_train.callbacks.loss_scale_monitor import LossScaleMonitor
from mrc_train.callbacks.run_stopper import RunStopper
from mrc_train.callbacks.step_monitor import StepMonitor
from mrc_train.callbacks.total_batch import TotalBatch
from mrc_train.config import Config
from mrc_train.data.coco import Dataset, Split, annotations_of
from mrc_train.data.loader import TrainingFlow, training_flow
from mrc_train.data.padding import pads_nothing
from mrc_train.errors import RunDirectoryError, Stopped
from mrc_train.evaluation_log import EvaluationLog
from mrc_train.log import log, to_console, to_directory
from mrc_train.model.detector import MaskRCNN
from mrc_train.precision import Precision
from mrc_train.progress import ProgressReporter
from mrc_train.ranks import Ranks
from mrc_train.run_lines import Outcome, RunEnd
from mrc_train.schedule import LearningRate
from mrc_train.statistics import Events, Statistics
from mrc_train.stopping import StopRequest
from mrc_train.targets import reaches_target
from mrc_train.tfgraph import v1
from mrc_train.watchdog import Watchdog
from mrc_train.weights import StartFrom

from tensorpack import TrainConfig, launch_train_with_config  # isort: skip
from tensorpack.callbacks import (  # isort: skip
    MergeAllSummaries,
    MovingAverageSummary,
    RunUpdateOps,
)
from tensorpack.tfutils import SmartInit  # isort: skip


@dataclass(frozen=True)
class Run:
    """What is known of a run before its first step.

    Attributes:
        checkpoint: prefix of the checkpoint to resume from; None for a new run.
        statistics: entries of stats.json up to that checkpoint; on rank 0.
    """

    cfg: Config
    data: Dataset
    validation: Sequence[Split]
    logdir: Path
    ranks: Ranks
    rate: LearningRate
    total_batch: int
    checkpoint: Path | None
    statistics: Sequence[dict[str, Any]]

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.ranks.rank == 0

    @property
    def start(self) -> int:
        """Steps already done."""
        return checkpoints.step_of(self.checkpoint) if self.checkpoint else 0

    @property
    def steps(self) -> int:
        """Steps of the complete run."""
        return self.rate.epochs * self.rate.steps_per_epoch

    @property
    def has_target(self) -> bool:
        """Whether metrics may end the run."""
        return self.cfg.TEST.BOX_TARGET is not None or self.cfg.TEST.MASK_TARGET is not None


def train(
    cfg: Config, data: Dataset, validation: Sequence[Split], weights: str, logdir: Path, ranks: Ranks
) -> None:
    """Train until the schedule ends, from the newest complete checkpoint in ``logdir`` if there is one.

    All ranks call this together.

    Raises:
        DataError: when one image after the other turns out to be unreadable.
        NotFiniteError: at a loss or a weight that is NaN or infinite.
        RunDirectoryError: when the run had another total batch, or a checkpoint cannot be saved.
        Stopped: when a signal ended the run; all is saved.
    """
    to_console()
    request = StopRequest()
    request.listen()
    run = _open_run(cfg, data, validation, logdir, ranks)
    if end := ranks.broadcast(_end_of_finished(run)):
        if run.is_chief:
            log.info(end.line())
            log.info(_how_to_train_longer(end, logdir))
        return
    if run.is_chief:
        _write_side_files(run)
    _log_start(run)

    v1.set_random_seed(cfg.TRAIN.SEED)
    precision = session.precision_of(cfg)
    model = _model(run, precision)
    flow = training_flow(cfg, data.records, ranks.rank, ranks.size, _first_batch(run))
    stopper = _train(run, model, flow, precision, request, weights)
    if flow.error:
        raise flow.error
    _report_end(run, stopper)


def _open_run(cfg: Config, data: Dataset, validation: Sequence[Split], logdir: Path, ranks: Ranks) -> Run:
    """Find where the run resumes; rank 0 looks, and all ranks agree with it."""
    total_batch = cfg.TRAIN.BATCH_SIZE_PER_GPU * ranks.size * cfg.TRAIN.GRADIENT_ACCUMULATION
    is_chief = ranks.rank == 0
    checkpoint = ranks.broadcast(checkpoints.newest_complete(logdir) if is_chief else None)
    start = checkpoints.step_of(checkpoint) if checkpoint else 0
    if is_chief and checkpoint:
        _check_total_batch(cfg, checkpoint, total_batch, ranks.size)
    return Run(
        cfg=cfg,
        data=data,
        validation=validation,
        logdir=logdir,
        ranks=ranks,
        rate=LearningRate.from_config(cfg.TRAIN, total_batch),
        total_batch=total_batch,
        checkpoint=checkpoint,
        statistics=side_files.statistics_until(logdir, start) if is_chief else [],
    )


def _check_total_batch(cfg: Config, checkpoint: Path, total_batch: int, ranks: int) -> None:
    """Raise RunDirectoryError for a run with another total batch: its steps would mean other images."""
    before = checkpoints.total_batch_of(checkpoint)
    if before is None or before == total_batch:
        return
    images_at_once = cfg.TRAIN.BATCH_SIZE_PER_GPU * ranks
    fix = f"use a number of ranks that divides {before}"
    if before % images_at_once == 0:
        fix = f"set TRAIN.GRADIENT_ACCUMULATION={before // images_at_once} to keep it"
    elif before % ranks == 0:
        fix = f"set TRAIN.BATCH_SIZE_PER_GPU={before // ranks} and TRAIN.GRADIENT_ACCUMULATION=1 to keep it"
    raise RunDirectoryError(
        f"{checkpoint}: this run has a total batch of {before} images, not {total_batch}, and its steps "
        f"count those; {fix}, or --load it into a new directory"
    )


def _end_of_finished(run: Run) -> RunEnd | None:
    """How the run ended if there is nothing left to train; None on ranks other than 0."""
    if not run.is_chief:
        return None
    if run.start >= run.steps:
        return RunEnd(Outcome.FINISHED, run.start, run.steps)
    prefix = f"{run.validation[0].name}/" if len(run.validation) > 1 else ""
    for entry in run.statistics:
        metrics = {name.removeprefix(prefix): value for name, value in entry.items()}
        if reaches_target(run.cfg.TEST, metrics):
            return RunEnd(Outcome.TARGET_REACHED, run.start, run.steps)
    return None


def _how_to_train_longer(end: RunEnd, logdir: Path) -> str:
    if end.outcome is Outcome.TARGET_REACHED:
        return f"{logdir} has reached its target; raise TEST.BOX_TARGET or TEST.MASK_TARGET to train longer"
    return f"{logdir} has all {end.step} steps; raise TRAIN.LR_SCHEDULE to train longer"


def _write_side_files(run: Run) -> None:
    to_directory(run.logdir)
    side_files.write_settings(run.logdir, run.cfg.to_yaml())
    side_files.write_classes(run.logdir, run.data.categories)
    files = [annotations_of(run.cfg.DATA.BASEDIR, name) for name in (*run.cfg.DATA.TRAIN, *run.cfg.DATA.VAL)]
    side_files.note_checksums(run.logdir, files, run.start)


def _log_start(run: Run) -> None:
    """Say what the run trains on and where it starts."""
    batch, ranks = run.cfg.TRAIN.BATCH_SIZE_PER_GPU, run.ranks
    if run.is_chief:
        for dataset in (run.data, *run.validation):
            log.info(dataset.summary())
        log.info(
            f"resuming from {run.checkpoint}" if run.checkpoint else f"starting a new run in {run.logdir}"
        )
    log.info(
        f"rank {ranks.rank} of {ranks.size}: process {os.getpid()}, images {ranks.rank * batch} to "
        f"{(ranks.rank + 1) * batch - 1} of every {batch * ranks.size} in the order of seed "
        f"{run.cfg.TRAIN.SEED}"
    )
    batches = run.cfg.TRAIN.GRADIENT_ACCUMULATION
    if run.is_chief and batches > 1:
        log.info(f"each step accumulates the gradients of {batches} batches: {run.total_batch} images")


def _first_batch(run: Run) -> int:
    return run.start * run.cfg.TRAIN.GRADIENT_ACCUMULATION


def _model(run: Run, precision: Precision) -> MaskRCNN:
    batches_per_step = run.cfg.TRAIN.GRADIENT_ACCUMULATION
    return MaskRCNN(
        run.cfg,
        run.data.categories.num_classes,
        # The model counts batches, since its sampling differs in each; the learning rate counts steps.
        learning_rate=lambda number: run.rate(number // batches_per_step),
        rank=run.ranks.rank,
        with_padding=not pads_nothing(run.data.records, run.cfg),
        scales_loss=precision == "float16",
    )


def _train(
    run: Run,
    model: MaskRCNN,
    flow: TrainingFlow,
    precision: Precision,
    request: StopRequest,
    weights: str,
) -> RunStopper:
    """Run all steps; the callback that is returned knows what ended them."""
    statistics, events = _monitors(run) if run.is_chief else (None, None)
    saver, evaluator, callbacks = _callbacks(run, model, precision, request, statistics, events)
    target_reached = (lambda: evaluator.target_reached) if evaluator and run.has_target else None
    stopper = RunStopper(run.ranks, request, target_reached, saver)
    launch_train_with_config(
        TrainConfig(
            model=model,
            data=session.input_queue(flow, _first_batch(run), model.inputs()),
            callbacks=callbacks,
            # tensorpack's defaults without its progress bar, which does not suit a log.
            extra_callbacks=[
                RunUpdateOps(),
                *([MovingAverageSummary(), MergeAllSummaries()] if run.is_chief else []),
                stopper,
            ],
            monitors=[monitor for monitor in (events, statistics) if monitor],
            session_config=session.session_config(precision),
            session_init=_initial_values(run.checkpoint, weights) if run.is_chief else None,
            steps_per_epoch=run.rate.steps_per_epoch,
            starting_epoch=run.start // run.rate.steps_per_epoch + 1,
            max_epoch=run.rate.epochs,
        ),
        session.trainer_for(run.cfg),
    )
    return stopper


def _monitors(run: Run) -> tuple[Statistics, Events]:
    names = [split.name for split in run.validation]
    about = dashboard.about(
        run.cfg, names, run.logdir.resolve().name, run.ranks.size, run.total_batch, run.steps
    )
    return Statistics(run.logdir / "stats.json", run.statistics), Events([] if run.start else about)


def _callbacks(
    run: Run,
    model: MaskRCNN,
    precision: Precision,
    request: StopRequest,
    statistics: Statistics | None,
    events: Events | None,
) -> tuple[CheckpointSaver | None, Evaluator | None, list[Any]]:
    """The saver, the evaluator and all callbacks in the order in which tensorpack calls them."""
    cfg = run.cfg
    evaluates = bool(run.validation and cfg.TRAIN.EVAL_PERIOD)
    reporter = ProgressReporter(
        run.logdir / "progress.json",
        run.steps,
        run.rate.epochs,
        run.total_batch,
        cfg.TRAIN.EVAL_PERIOD * run.rate.steps_per_epoch if evaluates else 0,
    )
    watchdog = Watchdog(cfg.TRAIN.STEP_TIMEOUT, run.ranks.rank, reporter.heartbeat if run.is_chief else None)
    callbacks: list[Any] = [
        TotalBatch(run.total_batch),
        StepMonitor(
            reporter if run.is_chief else None,
            run.logdir,
            run.rate.steps_per_epoch,
            run.data.records,
            watchdog,
        ),
    ]
    if precision == "float16":
        callbacks.append(LossScaleMonitor(run.logdir))
    saver = None
    if statistics:
        periods = (cfg.TRAIN.CHECKPOINT_PERIOD, cfg.TRAIN.EVAL_PERIOD if evaluates else 0)
        saver = CheckpointSaver(periods, statistics)
        callbacks.append(saver)
    evaluator = None
    if evaluates:
        outcome = EvaluationLog(run.validation, cfg.TEST, statistics, events)
        evaluator = Evaluator(
            run.validation, run.ranks, cfg, model.output_names, run.logdir, outcome, request, watchdog
        )
        callbacks.append(evaluator)
    return saver, evaluator, callbacks


def _initial_values(checkpoint: Path | None, weights: str) -> Any:
    """What sets the variables before the first step; None leaves them as they are initialized."""
    if checkpoint:
        return SmartInit(str(checkpoint))
    return StartFrom(weights) if weights else None


def _report_end(run: Run, stopper: RunStopper) -> None:
    """Log how the run ended; raise Stopped after a signal."""
    step, number = stopper.last_step, stopper.signal_number
    if run.is_chief:
        outcome = Outcome.TARGET_REACHED if stopper.at_target else Outcome.FINISHED
        end = RunEnd(outcome, step, run.steps)
        if number:
            end = RunEnd(Outcome.STOPPED, step, run.steps, signal.Signals(number).name)
            log.info(f"stopped after step {step}; start again to resume from model-{step} in {run.logdir}")
        log.info(end.line())
    if number:
        raise Stopped(number)
