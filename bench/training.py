"""The trainer's speed and memory: plain and optimized settings, other trainers, and the scaling over ranks.

    .venv/bin/python bench/training.py DATA [--rival NAME=DIRECTORY ...] [--steps N] [--config KEY=VALUE ...]

DATA is a data set in COCO's layout with the splits train2017 and val2017. A rival's directory has a train.py
that takes tensorpack's `--logdir` and `--config KEY=VALUE`, as tensorpack's FasterRCNN example does; it has
to know the classes of DATA, and to run without a GPU where there is none. All contenders train R50-FPN with
masks from random weights, on the same images, in turn: the first round A B C, the second C B A. Times are
medians over epochs of a few steps, as tensorpack's own loop logs them, without the first two of each run,
in which the graph is optimized and the input starts.
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
UNCOUNTED = 2
BATCH = 4
"""Images a step of the optimized settings."""

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
"""A learning rate too small to change random weights noticeably, so that all contenders do the same work."""


@dataclass
class Contender:
    """A trainer with its settings.

    Attributes:
        images: of one step, over all ranks.
        cores: that it may use.
        seconds: of a step, one number an epoch.
        memory: bytes of all its processes together, at most.
    """

    name: str
    command: Sequence[str]
    settings: Sequence[str]
    pictures: int
    cores: Sequence[int]
    seconds: list[float] = field(default_factory=list)
    memory: int = 0

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.pictures / statistics.median(self.seconds)


def contenders(rivals: Sequence[tuple[str, Path]], config: Sequence[str]) -> list[Contender]:
    """All that are measured; a rival is given the settings of ours that every one of them knows."""
    cores = sorted(os.sched_getaffinity(0))
    ours = [str(BIN / "mrc-train")]
    optimized = [*config, f"TRAIN.BATCH_SIZE_PER_GPU={BATCH}", "TRAIN.MIXED_PRECISION=True"]
    found = [
        Contender(name, [sys.executable, str(directory / "train.py")], config, 1, cores)
        for name, directory in rivals
    ]
    found += [
        Contender("plain", ours, config, 1, cores),
        Contender("optimized", ours, optimized, BATCH, cores),
        Contender("plain, 1 rank on 1 core", ours, config, 1, cores[:1]),
    ]
    if len(cores) > 1:
        pinned = "--allow-run-as-root -np 2 --bind-to core --report-bindings"
        # What the chart sets on CPUs, without which ranks slow each other down: docs/benchmarks.md.
        on_cpus = "--mca mpi_yield_when_idle 1 -x HOROVOD_FUSION_THRESHOLD=4194304"
        mpirun = [str(BIN / "mpirun"), *pinned.split(), *on_cpus.split(), str(BIN / "mrc-train")]
        horovod = [*config, "TRAINER=horovod"]
        found.append(Contender("plain, 2 ranks on 1 core each", mpirun, horovod, 2, cores[:2]))
    return found


def run(contender: Contender, data: Path, steps: int) -> None:
    """Trains, and adds what it took to the contender. Exits with the output of one that fails."""
    with tempfile.TemporaryDirectory() as directory:
        logdir, output = Path(directory) / "run", Path(directory) / "output"
        settings = [f"DATA.BASEDIR={data}", *COMMON, *contender.settings]
        ranks = 2 if "TRAINER=horovod" in settings else 1
        # LR_SCHEDULE counts steps of 8 images in all of these trainers.
        schedule = f"TRAIN.LR_SCHEDULE=[{steps * contender.pictures // 8}]"
        with output.open("w") as printed:
            process = psutil.Popen(
                [*contender.command, "--logdir", str(logdir), "--config", *settings, schedule],
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": str(len(contender.cores) // ranks)},
                preexec_fn=lambda: os.sched_setaffinity(0, contender.cores),
            )
            try:
                while process.poll() is None:
                    contender.memory = max(contender.memory, memory_of(process))
                    with contextlib.suppress(psutil.TimeoutExpired):
                        process.wait(0.5)
            finally:
                for child in [*process.children(recursive=True), process] if process.is_running() else []:
                    child.terminate()
        if process.returncode:
            sys.exit(f"{contender.name}: exit code {process.returncode}\n{output.read_text()[-3000:]}")
        contender.seconds += [each / STEPS_PER_EPOCH for each in epoch_seconds(logdir)[UNCOUNTED:]]


def memory_of(process: psutil.Process) -> int:
    """Resident bytes of a process and what it started."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def rival(word: str) -> tuple[str, Path]:
    """``NAME=DIRECTORY``."""
    name, _, directory = word.partition("=")
    path = Path(directory).expanduser().resolve()
    if not (name and (path / "train.py").is_file()):
        raise argparse.ArgumentTypeError(f"{word}: expected NAME=DIRECTORY with a train.py in the directory")
    return name, path


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--rival", type=rival, action="append", default=[], metavar="NAME=DIRECTORY")
    parser.add_argument("--steps", type=int, default=120, help="of each in a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="(%(default)s)")
    add_config_argument(parser, "settings for all, after those of this benchmark")
    arguments = parser.parse_args()
    least = (UNCOUNTED + 2) * STEPS_PER_EPOCH
    if arguments.steps < least:
        parser.error(f"--steps {arguments.steps}: give {least} or more")
    if not (arguments.data / "annotations").is_dir():
        parser.error(f"{arguments.data}: no annotations/ here; give a data set in COCO's layout")
    measured = contenders(arguments.rival, arguments.config or [])
    for number in range(arguments.rounds):
        for contender in measured[:: -1 if number % 2 else 1]:
            print(f"round {number + 1}: {contender.name}", file=sys.stderr, flush=True)
            run(contender, arguments.data.resolve(), arguments.steps)
    first = measured[0]
    print(f"| trainer | seconds a step | images/s | against {first.name} | memory, GiB | epochs |")
    print("| --- | --- | --- | --- | --- | --- |")
    for each in measured:
        low, step, high = statistics.quantiles(each.seconds, n=4)
        print(
            f"| {each.name} | {step:.3f} ({low:.3f} to {high:.3f}) "
            f"| {each.rate:.2f} | {each.rate / first.rate:.2f} | {each.memory / 2**30:.1f} "
            f"| {len(each.seconds)} |"
        )


if __name__ == "__main__":
    main()
