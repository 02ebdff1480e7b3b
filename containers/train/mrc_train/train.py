"""``mrc-train``: train Mask R-CNN, as one process or as one of the ranks under mpirun.

Started again on the same run folder, it goes on from the newest whole checkpoint.
"""

import argparse
import fcntl
import glob
import json
import math
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrc_train import config
from mrc_train.config import Config, ConfigError
from mrc_train.data.coco import DataError, load_split, training_records
from mrc_train.errors import NotFiniteError, RunFolderError
from mrc_train.ranks import MpiRanks, Ranks, SingleProcess
from mrc_train.schedule import LearningRate, steps_per_epoch


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(
        prog="mrc-train",
        description="Train Mask R-CNN. A run that was stopped goes on when it is started again.",
        epilog="Example: mrc-train --logdir runs/first --config DATA.BASEDIR=data/coco "
        "BACKBONE.WEIGHTS=ImageNet-R50-AlignPadding.npz TRAIN.LR_SCHEDULE=1x",
    )
    out.add_argument(
        "--logdir", type=Path, required=True, help="the run's folder: log, checkpoints, TensorBoard events"
    )
    out.add_argument(
        "--load", help="weights to start from (.npz or checkpoint), in place of BACKBONE.WEIGHTS"
    )
    out.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="settings, see mrc_train/config.py",
    )
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Console entry; exits non-zero with one line on stderr when something is wrong."""
    arguments = parser().parse_args(argv)
    try:
        cfg = config.parse(arguments.config)
        ranks: Ranks = MpiRanks() if cfg.TRAINER == "horovod" else SingleProcess()
        with _locked(arguments.logdir, ranks):
            train(cfg, arguments.logdir, ranks, load=arguments.load)
    except (ConfigError, DataError, NotFiniteError, RunFolderError) as error:
        _leave(f"mrc-train: error: {error}")
    except Exception:
        _leave(traceback.format_exc())


def _leave(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
    # Not sys.exit: MPI's own clean-up would wait for ranks that wait for this one. mpirun ends them.
    os._exit(1)


@contextmanager
def _locked(logdir: Path, ranks: Ranks) -> Iterator[None]:
    """Rank 0 holds the run folder's lock, so that two jobs never write into one folder."""
    if ranks.rank:
        yield
        return
    try:
        logdir.mkdir(parents=True, exist_ok=True)
        lock = (logdir / "lock").open("w")
    except OSError as error:
        raise RunFolderError(
            f"{logdir}: {error.strerror}; choose a folder that this user can write to"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFolderError(
                f"{logdir}: another run writes here; stop it, or give this one a folder of its own"
            ) from None
        yield


def train(cfg: Config, logdir: Path, ranks: Ranks, load: str | None = None) -> None:
    """Train until the schedule ends; all ranks call this together.

    Raises:
        DataError: for data that cannot be used, before the first step where it can be told then.
        NotFiniteError: at a loss that is NaN or infinite.
    """
    total_batch = cfg.TRAIN.BATCH_SIZE_PER_GPU * ranks.size
    rate = LearningRate.from_config(cfg.TRAIN, total_batch)
    per_epoch = steps_per_epoch(cfg.TRAIN, total_batch)
    epochs = math.ceil(rate.total_steps / per_epoch)
    data = training_records(cfg)
    validation = (
        [load_split(cfg.DATA.BASEDIR, name, cfg.MODE_MASK) for name in cfg.DATA.VAL]
        if cfg.TRAIN.EVAL_PERIOD
        else []
    )
    weights = load or cfg.BACKBONE.WEIGHTS
    if weights and not glob.glob(glob.escape(weights) + "*"):
        raise RunFolderError(
            f"{weights}: no such weights (--load or BACKBONE.WEIGHTS); leave it empty to start from scratch"
        )

    # TensorFlow takes seconds to import: settings and data are checked first.
    from mrc_train import checkpoints, session
    from mrc_train.callbacks import Checkpoints, Evaluation, StepMonitor
    from mrc_train.data.loader import training_flow
    from mrc_train.model.detector import MaskRCNN
    from mrc_train.progress import ProgressReporter

    import tensorpack  # isort: skip
    from tensorpack import callbacks  # isort: skip
    from tensorpack.tfutils import SmartInit  # isort: skip
    from tensorpack.utils import fix_rng_seed, logger  # isort: skip

    checkpoint = ranks.broadcast(checkpoints.newest_whole(logdir) if ranks.rank == 0 else None)
    start = checkpoints.step_of(checkpoint) if checkpoint else 0
    if start >= epochs * per_epoch:
        if ranks.rank == 0:
            print(
                f"finished: {logdir} has all {start} steps; raise TRAIN.LR_SCHEDULE to train longer",
                flush=True,
            )
        return

    initial = str(checkpoint) if checkpoint else weights
    fix_rng_seed(cfg.TRAIN.SEED)
    trainer = session.trainer_for(cfg)
    extra: list[Any] = []
    monitors: list[Any] = []
    reporter = None
    if ranks.rank == 0:
        logger.set_logger_dir(str(logdir), action="k")
        checkpoints.rewind(logdir, start)
        checkpoints.replace(logdir / "config.yaml", cfg.to_yaml())
        checkpoints.replace(logdir / "categories.json", json.dumps(asdict(data.categories)))
        logger.info(data.summary())
        logger.info(f"resuming from {checkpoint}" if checkpoint else f"starting anew in {logdir}")
        reporter = ProgressReporter(logdir / "progress.json", epochs * per_epoch, epochs, total_batch)
        extra = [Checkpoints(cfg.TRAIN.CHECKPOINT_PERIOD)]
        monitors = [callbacks.TFEventWriter(), callbacks.JSONWriter()]
    if validation:
        extra.insert(0, Evaluation(validation, ranks, cfg, cfg.TRAIN.EVAL_PERIOD))

    flow = session.NumberedFlow(training_flow(cfg, data.records, ranks.rank, ranks.size, start), start)
    model = MaskRCNN(cfg, data.categories.num_classes, rate, ranks.rank)
    print(
        f"rank {ranks.rank} of {ranks.size}: pid {os.getpid()}, images {ranks.rank * cfg.TRAIN.BATCH_SIZE_PER_GPU}"
        f"..{(ranks.rank + 1) * cfg.TRAIN.BATCH_SIZE_PER_GPU - 1} of every {total_batch} in the order of seed {cfg.TRAIN.SEED}",
        flush=True,
    )
    tensorpack.launch_train_with_config(
        tensorpack.TrainConfig(
            model=model,
            data=session.input_queue(flow, model.inputs()),
            callbacks=[StepMonitor(reporter, logdir), *extra],
            extra_callbacks=[
                callbacks.MovingAverageSummary(),
                callbacks.MergeAllSummaries(),
                callbacks.RunUpdateOps(),
            ],
            monitors=monitors,
            session_config=session.session_config(session.ranks_on_this_machine()),
            session_init=SmartInit(initial, ignore_mismatch=not checkpoint)
            if initial and ranks.rank == 0
            else None,
            steps_per_epoch=per_epoch,
            starting_epoch=start // per_epoch + 1,
            max_epoch=epochs,
        ),
        trainer,
    )
    if flow.error:
        raise flow.error


if __name__ == "__main__":
    main()
