"""One training run: what ``mrc-train`` does once settings and data are known to be good."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrc_train import checkpoints, session
from mrc_train.callbacks import Checkpoints, Evaluation, StepMonitor
from mrc_train.config import Config
from mrc_train.data.coco import Dataset, Split
from mrc_train.data.loader import training_flow
from mrc_train.log import log, to_console, to_folder
from mrc_train.model.detector import MaskRCNN
from mrc_train.progress import ProgressReporter
from mrc_train.ranks import Ranks
from mrc_train.schedule import LearningRate
from mrc_train.tfgraph import v1

from tensorpack import TrainConfig, launch_train_with_config  # isort: skip
from tensorpack.callbacks import (  # isort: skip
    JSONWriter,
    MergeAllSummaries,
    MovingAverageSummary,
    RunUpdateOps,
    TFEventWriter,
)
from tensorpack.tfutils import SmartInit  # isort: skip


def train(
    cfg: Config, data: Dataset, validation: Sequence[Split], weights: str, logdir: Path, ranks: Ranks
) -> None:
    """Train until the schedule ends, from the newest whole checkpoint in ``logdir`` if there is one.

    All ranks call this together.

    Raises:
        DataError: when pictures turn out unreadable one after the other.
        NotFiniteError: at a loss that is NaN or infinite.
    """
    to_console()
    batch = cfg.TRAIN.BATCH_SIZE_PER_GPU
    total_batch = batch * ranks.size
    rate = LearningRate.from_config(cfg.TRAIN, total_batch)
    steps = rate.epochs * rate.steps_per_epoch
    chief = ranks.rank == 0

    checkpoint = ranks.broadcast(checkpoints.newest_whole(logdir) if chief else None)
    start = checkpoints.step_of(checkpoint) if checkpoint else 0
    if start >= steps:
        if chief:
            log.info(f"finished: {logdir} has all {start} steps; raise TRAIN.LR_SCHEDULE to train longer")
        return

    if chief:
        to_folder(logdir)
        checkpoints.rewind(logdir, start)
        checkpoints.replace(logdir / "config.yaml", cfg.to_yaml())
        checkpoints.replace(logdir / "categories.json", json.dumps(asdict(data.categories)))
        for dataset in (data, *validation):
            log.info(dataset.summary())
        log.info(f"going on from {checkpoint}" if checkpoint else f"starting anew in {logdir}")
    log.info(
        f"rank {ranks.rank} of {ranks.size}: process {os.getpid()}, pictures {ranks.rank * batch} to "
        f"{(ranks.rank + 1) * batch - 1} of every {total_batch} in the order of seed {cfg.TRAIN.SEED}"
    )

    v1.set_random_seed(cfg.TRAIN.SEED)
    trainer = session.trainer_for(cfg)
    model = MaskRCNN(cfg, data.categories.num_classes, rate, ranks.rank)
    flow = training_flow(cfg, data.records, ranks.rank, ranks.size, start)
    reporter = ProgressReporter(logdir / "progress.json", steps, rate.epochs, total_batch)
    callbacks: list[Any] = [StepMonitor(reporter if chief else None, logdir)]
    if validation and cfg.TRAIN.EVAL_PERIOD:
        callbacks.append(Evaluation(validation, ranks, cfg, model.output_names, logdir))
    monitors: list[Any] = []
    if chief:
        statistics = JSONWriter()
        monitors = [TFEventWriter(), statistics]
        callbacks.append(Checkpoints(cfg.TRAIN.CHECKPOINT_PERIOD, statistics))
    initial = SmartInit(str(checkpoint)) if checkpoint else None
    if weights and not checkpoint:
        initial = SmartInit(checkpoints.load_weights(weights), ignore_mismatch=True)
    launch_train_with_config(
        TrainConfig(
            model=model,
            data=session.input_queue(flow, start, model.inputs()),
            callbacks=callbacks,
            # tensorpack's defaults without its progress bar, which does not suit a log.
            extra_callbacks=[
                RunUpdateOps(),
                *([MovingAverageSummary(), MergeAllSummaries()] if chief else []),
            ],
            monitors=monitors,
            session_config=session.session_config(cfg.TRAIN.MIXED_PRECISION),
            session_init=initial if chief else None,
            steps_per_epoch=rate.steps_per_epoch,
            starting_epoch=start // rate.steps_per_epoch + 1,
            max_epoch=rate.epochs,
        ),
        trainer,
    )
    if flow.error:
        raise flow.error
    if chief:
        log.info(f"finished: {steps} steps, model-{steps} in {logdir}")
