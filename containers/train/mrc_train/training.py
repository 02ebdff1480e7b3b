"""One training run: what ``mrc-train`` does once settings and data are known to be good."""

import hashlib
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrc_train import checkpoints, dashboard, session
from mrc_train.callbacks import Checkpoints, Evaluation, LossScale, StepMonitor, Stopping, reaches_target
from mrc_train.config import Config
from mrc_train.data.coco import Dataset, Split, annotations_of
from mrc_train.data.loader import training_flow
from mrc_train.data.padding import pads_nothing
from mrc_train.errors import Stopped
from mrc_train.log import log, to_console, to_folder
from mrc_train.model.detector import MaskRCNN
from mrc_train.progress import ProgressReporter
from mrc_train.ranks import Ranks
from mrc_train.schedule import LearningRate
from mrc_train.statistics import Events, Statistics
from mrc_train.stopping import StopRequest
from mrc_train.tfgraph import v1
from mrc_train.weights import StartFrom

from tensorpack import TrainConfig, launch_train_with_config  # isort: skip
from tensorpack.callbacks import (  # isort: skip
    MergeAllSummaries,
    MovingAverageSummary,
    RunUpdateOps,
)
from tensorpack.tfutils import SmartInit  # isort: skip


def train(
    cfg: Config, data: Dataset, validation: Sequence[Split], weights: str, logdir: Path, ranks: Ranks
) -> None:
    """Train until the schedule ends, from the newest whole checkpoint in ``logdir`` if there is one.

    All ranks call this together.

    Raises:
        DataError: when pictures turn out unreadable one after the other.
        NotFiniteError: at a loss or a weight that is NaN or infinite.
        RunDirectoryError: when a checkpoint cannot be saved.
        Stopped: when a signal ended the run; all is saved.
    """
    to_console()
    request = StopRequest()
    request.listen()
    batch, batches_per_step = cfg.TRAIN.BATCH_SIZE_PER_GPU, cfg.TRAIN.GRADIENT_ACCUMULATION
    images_at_once = batch * ranks.size
    total_batch = images_at_once * batches_per_step
    rate = LearningRate.from_config(cfg.TRAIN, total_batch)
    steps = rate.epochs * rate.steps_per_epoch
    chief = ranks.rank == 0

    checkpoint = ranks.broadcast(checkpoints.newest_whole(logdir) if chief else None)
    start = checkpoints.step_of(checkpoint) if checkpoint else 0
    if start >= steps:
        if chief:
            log.info(f"finished: {logdir} has all {start} steps; raise TRAIN.LR_SCHEDULE to train longer")
        return
    if ranks.broadcast(chief and _has_reached_target(logdir, cfg, start)):
        if chief:
            log.info(f"finished: {logdir} reached its target by step {start}; raise it to train longer")
        return

    if chief:
        to_folder(logdir)
        checkpoints.rewind(logdir, start)
        checkpoints.replace(logdir / "config.yaml", cfg.to_yaml())
        checkpoints.replace(logdir / "categories.json", json.dumps(asdict(data.categories)))
        _note_data(logdir, cfg, start)
        for dataset in (data, *validation):
            log.info(dataset.summary())
        log.info(f"going on from {checkpoint}" if checkpoint else f"starting anew in {logdir}")
    log.info(
        f"rank {ranks.rank} of {ranks.size}: process {os.getpid()}, pictures {ranks.rank * batch} to "
        f"{(ranks.rank + 1) * batch - 1} of every {images_at_once} in the order of seed {cfg.TRAIN.SEED}"
    )
    if chief and batches_per_step > 1:
        log.info(f"a step takes the gradients of {batches_per_step} batches: {total_batch} pictures")

    v1.set_random_seed(cfg.TRAIN.SEED)
    precision = session.precision_of(cfg)
    trainer = session.trainer_for(cfg)
    # The model counts batches: what it draws differs in each; the learning rate counts steps.
    model = MaskRCNN(
        cfg,
        data.categories.num_classes,
        learning_rate=lambda number: rate(number // batches_per_step),
        rank=ranks.rank,
        with_padding=not pads_nothing(data.records, cfg),
        scales_loss=precision == "float16",
    )
    first_batch = start * batches_per_step
    flow = training_flow(cfg, data.records, ranks.rank, ranks.size, first_batch)
    reporter = ProgressReporter(logdir / "progress.json", steps, rate.epochs, total_batch)
    monitors: list[Events | Statistics] = []
    saver = None
    if chief:
        statistics = Statistics()
        names = [split.name for split in validation]
        about = dashboard.about(cfg, names, logdir.resolve().name, ranks.size, total_batch, steps)
        monitors = [Events([] if start else about), statistics]
        saver = Checkpoints(cfg.TRAIN.CHECKPOINT_PERIOD, statistics)
    callbacks: list[Any] = [
        StepMonitor(reporter if chief else None, logdir, rate.steps_per_epoch, data.records)
    ]
    if precision == "float16":
        callbacks.append(LossScale(logdir))
    evaluation = None
    if validation and cfg.TRAIN.EVAL_PERIOD:
        evaluation = Evaluation(validation, ranks, cfg, model.output_names, logdir, monitors, request)
        callbacks.append(evaluation)
    if saver:
        callbacks.append(saver)
    has_target = cfg.TEST.BOX_TARGET is not None or cfg.TEST.MASK_TARGET is not None
    reached = (lambda: evaluation.target_reached) if evaluation and has_target else None
    stopping = Stopping(ranks, request, reached, saver)
    initial = SmartInit(str(checkpoint)) if checkpoint else None
    if weights and not checkpoint:
        initial = StartFrom(weights)
    launch_train_with_config(
        TrainConfig(
            model=model,
            data=session.input_queue(flow, first_batch, model.inputs()),
            callbacks=callbacks,
            # tensorpack's defaults without its progress bar, which does not suit a log.
            extra_callbacks=[
                RunUpdateOps(),
                *([MovingAverageSummary(), MergeAllSummaries()] if chief else []),
                stopping,
            ],
            monitors=monitors,
            session_config=session.session_config(precision),
            session_init=initial if chief else None,
            steps_per_epoch=rate.steps_per_epoch,
            starting_epoch=start // rate.steps_per_epoch + 1,
            max_epoch=rate.epochs,
        ),
        trainer,
    )
    if flow.error:
        raise flow.error
    if not chief:
        if stopping.number:
            raise Stopped(stopping.number)
        return
    step = trainer.loop.global_step
    if stopping.number:
        name = signal.Signals(stopping.number).name
        log.info(f"{name}: stopped after step {step}, model-{step} in {logdir}; start again to go on")
        raise Stopped(stopping.number)
    why = ", the target is reached" if stopping.at_target else ""
    log.info(f"finished: {step} steps{why}, model-{step} in {logdir}")


def _has_reached_target(logdir: Path, cfg: Config, start: int) -> bool:
    """Whether an evaluation up to the step ``start`` gave the target."""
    names = [name.removeprefix("coco_") for name in cfg.DATA.VAL]
    prefix = f"{names[0]}/" if len(names) > 1 else ""
    entries = [entry for entry in checkpoints.statistics(logdir) if entry["global_step"] <= start]
    return any(
        reaches_target(cfg.TEST, {name.removeprefix(prefix): value for name, value in entry.items()})
        for entry in entries
    )


def _note_data(logdir: Path, cfg: Config, start: int) -> None:
    """Keep the annotation files' checksums; says when a run goes on with others than it had."""
    file = logdir / "data.json"
    names = [*cfg.DATA.TRAIN, *cfg.DATA.VAL]
    paths = [annotations_of(cfg.DATA.BASEDIR, name) for name in names]
    now = {str(path): _checksum(path) for path in paths}
    before = json.loads(file.read_text()) if file.exists() and start else now
    changed = sorted(path for path in now if path in before and before[path] != now[path])
    if changed:
        log.warning(
            f"{', '.join(changed)}: changed since step {start}; the figures from here on are of other data"
        )
    checkpoints.replace(file, json.dumps(now))


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
