"""Speed of the demo's training with other numbers of ranks and other environments, in turn.

    .venv/bin/python bench/demo_speed.py [--isa AVX2] [--busy N] [--seconds S] [--rounds N] [--only NAME ...]

All contenders train the model of charts/maskrcnn/examples/drawn-scenes.yaml with a total batch of 8 images
on the same scenes: A B C in the first round, C B A in the second. ``--isa AVX2`` limits oneDNN,
which computes convolutions and matrix products, to that instruction set; ``--busy N`` lets N other processes
compute meanwhile. Prints images per second and the CPU time per image, of all processes of the training,
from the first report after WARMUP_STEPS until the last.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from demo.release import Release
from mrc_train.cpu_environment import CPU_ENVIRONMENT
from mrc_train.run_lines import Progress

BIN = Path(sys.executable).parent
WARMUP_STEPS = 40
"""Steps that do not count: in these, the graph is optimized and the input starts."""
TOTAL_BATCH = 8

CHART = {"OMPI_MCA_mpi_yield_when_idle": "1", "HOROVOD_FUSION_THRESHOLD": "4194304"}
"""What the chart sets for CPUs in every contender."""


@dataclass
class Contender:
    """A way to train the demo's model, and its measurements, one of each kind per round."""

    ranks: int
    trainer: str
    environment: Mapping[str, str]
    images_per_second: list[float] = field(default_factory=list)
    cpu_per_image: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)


def contenders(isa: str | None) -> dict[str, Contender]:
    """All contenders by name. TensorFlow itself uses oneDNN only on CPUs with AVX512_VNNI or newer."""
    before = {"HOROVOD_CYCLE_TIME": "0.5", "TF_ENABLE_ONEDNN_OPTS": "0" if isa else "1"}
    not_deterministic = {"TF_DETERMINISTIC_OPS": "0"}
    return {
        "2 ranks, as before": Contender(2, "horovod", before),
        "2 ranks, oneDNN": Contender(2, "horovod", before | {"TF_ENABLE_ONEDNN_OPTS": "1"}),
        "2 ranks, oneDNN, cycle of 3 ms": Contender(
            2, "horovod", CPU_ENVIRONMENT | {"HOROVOD_CYCLE_TIME": "3"}
        ),
        "2 ranks, as now: oneDNN, cycle of 10 ms": Contender(2, "horovod", CPU_ENVIRONMENT),
        "2 ranks, as now, not deterministic": Contender(2, "horovod", CPU_ENVIRONMENT | not_deterministic),
        "1 process with 2 threads, oneDNN": Contender(1, "simple", CPU_ENVIRONMENT),
        "1 process with 2 threads, oneDNN, not deterministic": Contender(
            1, "simple", CPU_ENVIRONMENT | not_deterministic
        ),
    }


def run(contender: Contender, settings: list[str], isa: str | None, seconds: float) -> None:
    """Train for a number of seconds after the warm-up and record the measurements."""
    with tempfile.TemporaryDirectory() as directory:
        command = [str(BIN / "mrc-train")]
        if contender.ranks > 1:
            flags = "--allow-run-as-root --oversubscribe --bind-to none --mca plm isolated"
            command = [str(BIN / "mpirun"), *flags.split(), "-np", str(contender.ranks), *command]
        batch = f"TRAIN.BATCH_SIZE_PER_GPU={TOTAL_BATCH // contender.ranks}"
        endless = ["TRAIN.EVAL_PERIOD=0", "TRAIN.LR_SCHEDULE=[100000]"]
        own = [
            f"TRAINER={contender.trainer}",
            batch,
            *endless,
            "TEST.BOX_TARGET=None",
            "TEST.MASK_TARGET=None",
        ]
        limit = {"ONEDNN_MAX_CPU_ISA": isa} if isa else {}
        process = subprocess.Popen(
            [*command, "--logdir", f"{directory}/run", "--config", *settings, *own],
            env={**os.environ, **CHART, **limit, **contender.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            measure(contender, process, seconds)
        finally:
            with contextlib.suppress(psutil.Error):
                for descendant in psutil.Process(process.pid).children(recursive=True):
                    descendant.kill()
            process.send_signal(signal.SIGKILL)
            process.wait()


def measure(contender: Contender, process: "subprocess.Popen[str]", seconds: float) -> None:
    """Follow the output until ``seconds`` have passed since the first report after the warm-up."""
    lines, first = [], None
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        progress = Progress.parse(line)
        if progress is None or progress.step < WARMUP_STEPS:
            continue
        now, cpu = time.monotonic(), cpu_seconds(process.pid)
        if first is None:
            first = progress.step, now, cpu
        elif now - first[1] >= seconds:
            images = (progress.step - first[0]) * TOTAL_BATCH
            contender.images_per_second.append(images / (now - first[1]))
            contender.cpu_per_image.append((cpu - first[2]) / images)
            contender.load.append(os.getloadavg()[0])
            return
    sys.exit(f"the training ended with exit code {process.wait()}:\n{''.join(lines[-30:])}")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants so far."""
    parent = psutil.Process(pid)
    return sum(sum(member.cpu_times()[:2]) for member in (parent, *parent.children(recursive=True)))


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Processes that compute all the time."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def main() -> None:
    """Measure all contenders and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--isa", metavar="ISA", help="limit of oneDNN's instruction set, such as AVX2")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=25, help="of each contender per round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contenders, by parts of their names")
    arguments = parser.parse_args()
    chosen = {
        name: contender
        for name, contender in contenders(arguments.isa).items()
        if not arguments.only or any(part in name for part in arguments.only)
    }
    with tempfile.TemporaryDirectory() as directory, busy(arguments.busy):
        scenes = Path(directory) / "efs" / "scenes"
        subprocess.run([BIN / "mrc-scenes", scenes], check=True, stdout=subprocess.DEVNULL)
        _, settings = Release(Path(directory), None).run_directory_and_settings()
        for number in range(arguments.rounds):
            for name in list(chosen)[:: -1 if number % 2 else 1]:
                run(chosen[name], settings, arguments.isa, arguments.seconds)
                last = chosen[name]
                print(
                    f"round {number + 1}: {name}: {last.images_per_second[-1]:.1f} images/s, "
                    f"{last.cpu_per_image[-1] * 1000:.1f} ms of CPU, load {last.load[-1]:.1f}",
                    file=sys.stderr,
                    flush=True,
                )
    print("| contender | images/s | CPU ms per image | load |")
    print("| --- | --- | --- | --- |")
    for name, contender in chosen.items():
        rates = ", ".join(f"{rate:.1f}" for rate in contender.images_per_second)
        cpu = statistics.mean(contender.cpu_per_image) * 1000
        print(f"| {name} | {rates} | {cpu:.1f} | {min(contender.load):.1f} to {max(contender.load):.1f} |")


if __name__ == "__main__":
    main()
