"""A model and a data set so small that a training run takes seconds."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import preloaded

BIN = Path(sys.executable).parent

QUICK_TRAIN = ("python", str(Path(__file__).with_name("quick_train.py")))
"""A trainer that starts in two thirds of the time of ``mrc-train``."""

TIMEOUT = 300
"""Seconds for a run."""

SETTINGS = (
    "BACKBONE.BLOCK=basic",
    "BACKBONE.RESNET_NUM_BLOCKS=(1,1,1,1)",
    "BACKBONE.CHANNELS=(16,16,16,32)",
    "BACKBONE.NORM=None",
    "BACKBONE.FREEZE_AT=0",
    "FPN.NUM_CHANNEL=16",
    "FPN.FRCNN_FC_HEAD_DIM=32",
    "FPN.CANONICAL_SIZE=56",
    "MRCNN.HEAD_DIM=16",
    "MRCNN.NUM_CONV=1",
    "RPN.ANCHOR_SIZES=(8,16,32,48,64)",
    "RPN.TRAIN_PER_LEVEL_NMS_TOPK=30",
    "RPN.TEST_PER_LEVEL_NMS_TOPK=30",
    "RPN.BATCH_PER_IM=32",
    "FRCNN.BATCH_PER_IM=16",
    "PREPROC.TRAIN_SHORT_EDGE_SIZE=64",
    "PREPROC.TEST_SHORT_EDGE_SIZE=64",
    "PREPROC.MAX_SIZE=64",
    "DATA.NUM_WORKERS=1",
    "TRAIN.WARMUP=0",
    "TRAIN.CHECKPOINT_PERIOD=1",
    "TRAIN.EVAL_PERIOD=1",
)

C4 = (
    *("MODE_FPN=False", "RPN.HEAD_DIM=16", "RPN.TRAIN_PRE_NMS_TOPK=50", "RPN.TRAIN_POST_NMS_TOPK=30"),
    *("RPN.TEST_PRE_NMS_TOPK=50", "RPN.TEST_POST_NMS_TOPK=30"),
)
"""Beside ``SETTINGS``: a model without a feature pyramid. Its graph is built in half the time."""


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment and return its output as text."""
    program, *arguments = map(str, command)
    path = f"{BIN}:{os.environ['PATH']}"
    return subprocess.run(
        [str(BIN / program), *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, "PATH": path, **environment},
    )


def start(*command: str | Path, **environment: str) -> "subprocess.Popen[str]":
    """Start a program of this environment, stdout and stderr in one pipe; the caller waits for it."""
    program, *arguments = map(str, command)
    return subprocess.Popen(
        [str(BIN / program) if (BIN / program).exists() else program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environment},
    )


def training(logdir: Path, data: Path, *settings: str) -> list[str | Path]:
    """The command line of a trainer as one process."""
    return [*QUICK_TRAIN, "--logdir", logdir, "--config", f"DATA.BASEDIR={data}", *SETTINGS, *settings]


def train(logdir: Path, data: Path, *settings: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the trainer as one process."""
    command = training(logdir, data, *settings)
    if environment:
        return run(*command, **environment)
    return preloaded.run("quick_train", [*map(str, command[len(QUICK_TRAIN) :])], TIMEOUT)


def predict(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``mrc-predict``."""
    return preloaded.run("mrc_train.predict", [*map(str, arguments)], TIMEOUT)


MPI = {"OMPI_MCA_mpi_yield_when_idle": "1"}


def two_ranks(program: Sequence[str | Path], logdir: Path, data: Path, *settings: str) -> list[str | Path]:
    """The command line of a trainer under ``mpirun`` with two ranks."""
    mpirun = (
        "mpirun",
        "--allow-run-as-root",
        "--bind-to",
        "none",
        "--oversubscribe",
        "-np",
        "2",
        "--tag-output",
    )
    settings = ("TRAINER=horovod", f"DATA.BASEDIR={data}", *SETTINGS, *settings)
    return [*mpirun, *program, "--logdir", logdir, "--config", *settings]


def run_ranks(count: int, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a Python program under ``mpirun`` with ``count`` ranks."""
    return run(
        *("mpirun", "--allow-run-as-root", "--bind-to", "none", "--oversubscribe", "-np", str(count)),
        *("--tag-output", "python", *command),
        OMPI_MCA_mpi_yield_when_idle="1",
    )


def train_two_ranks(
    program: Sequence[str | Path], logdir: Path, data: Path, *settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a trainer under ``mpirun`` with two ranks."""
    return run(*two_ranks(program, logdir, data, *settings), **MPI)
