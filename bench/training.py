"""Speed and memory of the trainer: plain and optimized settings, other trainers, and scaling over ranks.

    .venv/bin/python bench/training.py DATA [--rival NAME=DIRECTORY ...] [--steps N] [--config KEY=VALUE ...]

DATA is a data set in COCO's layout with the splits train2017 and val2017. The directory of a rival has a
train.py with the options `--logdir` and `--config KEY=VALUE` of tensorpack's FasterRCNN example; it must
support the classes of DATA, and CPUs on a machine without a GPU. All contenders train R50-FPN with masks from
random weights on the same images, in turn: A B C in the first round, C B A in the second. Times are medians
over epochs of a few steps, as logged by tensorpack, without the first two epochs of each run, in which the
graph is optimized and the input starts.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from epochs import epoch_seconds
from mrc_train.config import add_config_argument

BIN = Path(sys.executable).parent
STEPS_PER_EPOCH = 10
WARMUP_EPOCHS = 2
"""Epochs at the start of each run that do not count."""
BATCH = 4
"""Images per step with the optimized settings."""

COMMON = (
    "MODE_MASK=True",
    "BACKBONE.NORM=FreezeBN",
    "PREPROC.TRAIN_SHORT_EDGE_SIZE=[256,256]",
    "PREPROC.MAX_SIZE=427",
    "TRAIN.BASE_LR=1e-5",
    "TRAIN.WARMUP=0",
    f"TRAIN.STEPS_PER_EPOCH={STEPS_PER_EPOCH}",
    "TRAIN.EVAL_PERIOD=0",
    "TRAIN.CHECKPOINT_PERIOD=1000",
)
"""Settings of all contenders. The learning rate is too small to change the weights, so that the work per step
stays the same.
"""


@dataclass
class Contender:
    """A trainer with its settings, and its measurements.

    Attributes:
        images_per_step: over all ranks.
        cores: the cores that it may use.
        seconds_per_step: mean of each epoch.
        peak_memory: largest sum of the resident memory of all its processes, in bytes.
    """

    name: str
    command: Sequence[str]
    settings: Sequence[str]
    images_per_step: int
    cores: Sequence[int]
    seconds_per_step: list[float] = field(default_factory=list)
    peak_memory: int = 0

    @property
    def images_per_second(self) -> float:
        """Median over epochs."""
        return self.images_per_step / statistics.median(self.seconds_per_step)


def contenders(rivals: Sequence[tuple[str, Path]], config: Sequence[str]) -> list[Contender]:
    """All trainers to measure; rivals get only the settings that every trainer has."""
    cores = sorted(os.sched_getaffinity(0))
    ours = [str(BIN / "mrc-train")]
    optimized = [*config, f"TRAIN.BATCH_SIZE_PER_GPU={BATCH}", "TRAIN.MIXED_PRECISION=True"]
    trainers = [
        Contender(name, [sys.executable, str(directory / "train.py")], config, 1, cores)
        for name, directory in rivals
    ]
    trainers += [
        Contender("plain", ours, config, 1, cores),
        Contender("optimized", ours, optimized, BATCH, cores),
        Contender("plain, 1 rank on 1 core", ours, config, 1, cores[:1]),
    ]
    if len(cores) > 1:
        pinned = "--allow-run-as-root -np 2 --bind-to core --report-bindings"
        # The charts set these on CPUs, since ranks slow each other down otherwise (docs/benchmarks.md).
        cpu_options = "--mca mpi_yield_when_idle 1 -x HOROVOD_FUSION_THRESHOLD=4194304"
        mpirun = [str(BIN / "mpirun"), *pinned.split(), *cpu_options.split(), str(BIN / "mrc-train")]
        horovod = [*config, "TRAINER=horovod"]
        trainers.append(Contender("plain, 2 ranks on 1 core each", mpirun, horovod, 2, cores[:2]))
    return trainers


def run(contender: Contender, data: Path, steps: int) -> None:
    """Train for a number of steps and record the measurements. Exits with the output of a run that fails."""
    with tempfile.TemporaryDirectory() as directory:
        logdir, output = Path(directory) / "run", Path(directory) / "output"
        settings = [f"DATA.BASEDIR={data}", *COMMON, *contender.settings]
        ranks = 2 if "TRAINER=horovod" in settings else 1
        # LR_SCHEDULE is given for a total batch of 8 in all of these trainers.
        schedule = f"TRAIN.LR_SCHEDULE=[{steps * contender.images_per_step // 8}]"
        with output.open("w") as file:
            process = psutil.Popen(
                [*contender.command, "--logdir", str(logdir), "--config", *settings, schedule],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": str(len(contender.cores) // ranks)},
                preexec_fn=lambda: os.sched_setaffinity(0, contender.cores),
            )
            try:
                while process.poll() is None:
                    contender.peak_memory = max(contender.peak_memory, memory_of(process))
                    with contextlib.suppress(psutil.TimeoutExpired):
                        process.wait(0.5)
            finally:
                for child in [*process.children(recursive=True), process] if process.is_running() else []:
                    child.terminate()
        if process.returncode:
            sys.exit(f"{contender.name}: exit code {process.returncode}\n{output.read_text()[-3000:]}")
        contender.seconds_per_step += [
            seconds / STEPS_PER_EPOCH for seconds in epoch_seconds(logdir)[WARMUP_EPOCHS:]
        ]


def memory_of(process: psutil.Process) -> int:
    """Resident memory of a process and its descendants, in bytes."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def rival(argument: str) -> tuple[str, Path]:
    """Parse ``NAME=DIRECTORY``."""
    name, _, directory = argument.partition("=")
    path = Path(directory).expanduser().resolve()
    if not (name and (path / "train.py").is_file()):
        raise argparse.ArgumentTypeError(
            f"{argument}: expected NAME=DIRECTORY with a train.py in the directory"
        )
    return name, path


def main() -> None:
    """Measure all contenders and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument(
        "--rival",
        type=rival,
        action="append",
        default=[],
        metavar="NAME=DIRECTORY",
        help="another trainer to measure",
    )
    parser.add_argument(
        "--steps", type=int, default=120, help="steps of each contender per round (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=2, help="(%(default)s)")
    add_config_argument(
        parser, "settings of all contenders, which take precedence over those of this benchmark"
    )
    arguments = parser.parse_args()
    min_steps = (WARMUP_EPOCHS + 2) * STEPS_PER_EPOCH
    if arguments.steps < min_steps:
        parser.error(f"--steps {arguments.steps}: must be at least {min_steps}")
    if not (arguments.data / "annotations").is_dir():
        parser.error(f"{arguments.data}: annotations/ not found; give a data set in COCO's layout")
    trainers = contenders(arguments.rival, arguments.config or [])
    for number in range(arguments.rounds):
        for contender in trainers[:: -1 if number % 2 else 1]:
            print(f"round {number + 1}: {contender.name}", file=sys.stderr, flush=True)
            run(contender, arguments.data.resolve(), arguments.steps)
    first = trainers[0]
    print(f"| trainer | seconds per step | images/s | relative to {first.name} | memory, GiB | epochs |")
    print("| --- | --- | --- | --- | --- | --- |")
    for contender in trainers:
        low, step, high = statistics.quantiles(contender.seconds_per_step, n=4)
        print(
            f"| {contender.name} | {step:.3f} ({low:.3f} to {high:.3f}) "
            f"| {contender.images_per_second:.2f} "
            f"| {contender.images_per_second / first.images_per_second:.2f} "
            f"| {contender.peak_memory / 2**30:.1f} "
            f"| {len(contender.seconds_per_step)} |"
        )


if __name__ == "__main__":
    main()
