"""The programs that ``train`` starts: the trainer, alone or under mpirun, and the export of its model."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrc_train.cpu_environment import CPU_ENVIRONMENT
from mrc_train.sagemaker.failure import reason
from mrc_train.sagemaker.hyperparameters import Arguments
from mrc_train.sagemaker.job import Job, data_directory, weights_file
from mrc_train.sagemaker.stop import StopSignal

BIN = Path(sys.executable).parent

MAX_TAIL = 400
"""Lines of output that are searched for the reason of a failure."""

_EXPORTED = ("CUDA_", "FI_", "HOROVOD_", "NCCL_", "OMP_", "TENSORPACK_", "TF_")
"""Prefixes of the environment variables that the ranks on other hosts get; ssh passes none by itself."""

_ALWAYS_EXPORTED = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")

_CPU = {**CPU_ENVIRONMENT, "CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(frozen=True)
class Ended:
    """How a program ended; ``reason`` is the line that says why, empty after success."""

    code: int
    reason: str


def gpu_count() -> int:
    """GPUs of this host."""
    return sum(path.name.removeprefix("nvidia").isdecimal() for path in Path("/dev").glob("nvidia*"))


def trainer_arguments(job: Job, arguments: Arguments, ranks: int) -> list[str]:
    """The command line of ``mrc-train``, without its program.

    Raises:
        UserError: when no channel has the data set.
    """
    settings = {setting.key: setting.value for setting in arguments.settings}
    settings["TRAINER"] = "horovod" if ranks > 1 else "simple"
    settings["DATA.BASEDIR"] = str(data_directory(job, arguments.get("DATA.BASEDIR")))
    if weights := settings.pop("BACKBONE.WEIGHTS", ""):
        settings["BACKBONE.WEIGHTS"] = weights_file(job, weights, arguments.get("DATA.BASEDIR"))
    load = ["--load", weights_file(job, arguments.load)] if arguments.load else []
    given = [f"{key}={value}" for key, value in settings.items()]
    return ["--logdir", str(job.layout.run_directory), *load, "--config", *given]


def command(job: Job, arguments: Arguments, ranks_per_host: int, ssh: str) -> list[str]:
    """The command that trains: mrc-train, under mpirun when there are several ranks.

    Args:
        ssh: the command with which mpirun reaches the other hosts.
    """
    ranks = ranks_per_host * len(job.hosts)
    trainer = [str(BIN / "mrc-train"), *trainer_arguments(job, arguments, ranks)]
    if ranks == 1:
        return trainer
    mpirun = [
        str(BIN / "mpirun"),
        "-np",
        str(ranks),
        "--allow-run-as-root",
        "--bind-to",
        "none",
        "--tag-output",
    ]
    parameters = {"btl": "^openib", "pml": "ob1", "orte_abort_on_non_zero_status": "1"}
    if len(job.hosts) > 1:
        mpirun += ["--host", ",".join(f"{host}:{ranks_per_host}" for host in job.hosts), "--map-by", "slot"]
        parameters |= {
            "plm_rsh_agent": ssh,
            "plm_rsh_no_tree_spawn": "1",
            "btl_tcp_if_include": job.interface,
            "oob_tcp_if_include": job.interface,
        }
    else:
        mpirun += ["--oversubscribe"]
    for name, value in parameters.items():
        mpirun += ["--mca", name, value]
    for name in exported(environment(arguments)):
        mpirun += ["-x", name]
    return [*mpirun, *trainer]


def environment(arguments: Arguments) -> dict[str, str]:
    """The environment of the trainer: this process's, with what the hyperparameters and CPUs need."""
    return {**({} if gpu_count() else _CPU), **os.environ, **arguments.environment}


def exported(variables: Mapping[str, str]) -> list[str]:
    """Names of the variables that mpirun passes to all ranks."""
    return [name for name in sorted(variables) if name in _ALWAYS_EXPORTED or name.startswith(_EXPORTED)]


def run(command: Sequence[str], environment: Mapping[str, str], stop: StopSignal) -> Ended:
    """Run a program, its output in the log; a stop request reaches it as SIGUSR1."""
    tail: deque[str] = deque(maxlen=MAX_TAIL)
    with subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        stop.forward_to(process)
        assert process.stdout
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            tail.append(line)
        code = process.wait()
        stop.forward_to(None)
    code = 128 - code if code < 0 else code
    return Ended(code, reason(tail) if code else "")
