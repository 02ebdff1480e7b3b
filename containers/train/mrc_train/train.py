"""``mrc-train``: train Mask R-CNN, as one process or as one of the ranks under mpirun.

With the directory of an interrupted run, it resumes from the newest complete checkpoint.
"""

import argparse
import glob
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

from mrc_cli import command
from mrc_cli.arguments import ArgumentParser
from mrc_cli.errors import UserError

from mrc_train import config, cpu_environment
from mrc_train.config import add_config_argument
from mrc_train.data.coco import check_same_categories, load_split, training_records
from mrc_train.errors import RunDirectoryError, Stopped
from mrc_train.evaluation.coco_metrics import check_can_be_scored
from mrc_train.ranks import MpiRanks, Ranks, SingleProcess
from mrc_train.run_directory import newest_checkpoint
from mrc_train.run_lock import hold_run_lock
from mrc_train.side_files import check_same_classes

NVIDIA_DRIVER = Path("/proc/driver/nvidia")

DISK_FULL = re.compile("No space left on device|Disk quota exceeded|File too large")
"""The operating system's messages, which TensorFlow's and Python's errors include."""


def parser() -> ArgumentParser:
    """The command line."""
    out = ArgumentParser(
        prog="mrc-train",
        description="Train Mask R-CNN. A run that was stopped resumes when it is started again.",
        epilog="Example: mrc-train --logdir runs/first --config DATA.BASEDIR=data/coco "
        "BACKBONE.WEIGHTS=ImageNet-R50-AlignPadding.npz TRAIN.LR_SCHEDULE=1x",
    )
    out.add_argument(
        "--logdir",
        type=Path,
        required=True,
        help="directory of the run: log, checkpoints, TensorBoard events",
    )
    out.add_argument(
        "--load",
        help="initial weights (.npz file, checkpoint or run directory), in place of BACKBONE.WEIGHTS",
    )
    add_config_argument(out, "settings, see mrc_train/config.py")
    out.add_argument(
        "--fp16",
        dest="config",
        action="append_const",
        const="TRAIN.MIXED_PRECISION=True",
        help="short for --config TRAIN.MIXED_PRECISION=True",
    )
    out.add_argument(
        "--async_eval",
        dest="config",
        action="append_const",
        const="TRAIN.EVAL_ASYNC=True",
        help="short for --config TRAIN.EVAL_ASYNC=True",
    )
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Console script ``mrc-train``; an error that the user can fix is one line on stderr and exit code 1.

    After a signal the exit code is 128 plus the signal's number: 143 for SIGTERM.
    """
    arguments = parser().parse_args(argv)
    try:
        command.run("mrc-train: error", lambda: _train(arguments))
    except SystemExit as end:
        _exit(end.code)
    except Stopped as stop:
        _exit(128 + stop.number)
    except Exception:
        traceback.print_exc()
        _exit(1)


def _exit(code: int | str | None) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: MPI's finalization would wait for ranks that wait for this one. mpirun ends them.
    os._exit(code if isinstance(code, int) else 1)


def _train(arguments: argparse.Namespace) -> None:
    cfg = config.parse(arguments.config)
    if not NVIDIA_DRIVER.exists():
        cpu_environment.set_defaults()
    ranks: Ranks = MpiRanks() if cfg.TRAINER == "horovod" else SingleProcess()
    # Only rank 0 writes to the run directory.
    lock = nullcontext() if ranks.rank else hold_run_lock(arguments.logdir)
    with lock, _full_disk_reported(arguments.logdir):
        weights = weights_file(arguments.load or cfg.BACKBONE.WEIGHTS)
        data = training_records(cfg)
        validation = [load_split(cfg.DATA.BASEDIR, name, cfg.MODE_MASK) for name in cfg.DATA.VAL]
        for split in validation:
            check_same_categories(data, split)
        if ranks.rank == 0:
            for split in validation:
                check_can_be_scored(split.annotation_file, cfg.MODE_MASK)
            check_same_classes(arguments.logdir, data.categories)

        # Importing TensorFlow takes seconds; the errors above are reported before that.
        from mrc_train.training import train

        train(cfg, data, validation, weights, arguments.logdir, ranks)


@contextmanager
def _full_disk_reported(logdir: Path) -> Iterator[None]:
    """Turn the many forms in which TensorFlow and Python report a full disk into one line."""
    try:
        yield
    except (UserError, Stopped):
        raise
    except Exception as error:
        full = DISK_FULL.search(str(error))
        if full is None:
            raise
        raise RunDirectoryError(f"{logdir}: {full[0]}; free some space and start again to resume") from error


def weights_file(name: str) -> str:
    """The .npz file or checkpoint prefix to start from: for a run directory, that of its newest checkpoint.

    Raises:
        RunDirectoryError: if the file does not exist or the directory has no checkpoint.
    """
    path = Path(name)
    if name and path.is_dir():
        newest = newest_checkpoint(path)
        if newest is None:
            raise RunDirectoryError(f"{path}: has no complete checkpoint to start from")
        return str(path / newest)
    if name and not any(path.parent.glob(f"{glob.escape(path.name)}*")):
        raise RunDirectoryError(
            f"{name}: no such weights (--load or BACKBONE.WEIGHTS); leave it empty to train from scratch"
        )
    return name


if __name__ == "__main__":
    main()
