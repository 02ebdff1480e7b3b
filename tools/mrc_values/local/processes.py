"""Finds and ends every process of a run.

mpirun puts each rank into a separate process group, and ranks outlive an mpirun that is killed. All of them
keep the environment that they were started with, so a variable in it marks the processes of a run.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK_VARIABLE = "MRC_LOCAL_RUN"
MAX_KILL_ROUNDS = 20
_RANK = "OMPI_COMM_WORLD_RANK"


@dataclass(frozen=True)
class Identity:
    """Identifies a process even after its pid is reused. ``created`` is in seconds since the epoch."""

    pid: int
    created: float

    @staticmethod
    def of(pid: int) -> "Identity":
        """The identity of a running process. Raises psutil.NoSuchProcess."""
        return Identity(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process, or None when it has ended; a zombie has ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 0.01
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


def marked(mark: str) -> dict[psutil.Process, dict[str, str]]:
    """The running processes with this mark, each with its environment."""
    return {process: environ for process, environ in _environments() if environ.get(MARK_VARIABLE) == mark}


def ranks(mark: str) -> set[int]:
    """The MPI ranks of a run that are alive."""
    return {int(environ[_RANK]) for environ in marked(mark).values() if _RANK in environ}


def end(mark: str, grace: float = 0) -> None:
    """End every process of a run: SIGTERM, up to ``grace`` seconds, then SIGKILL.

    If there are ranks, only they receive the SIGTERM: they save and exit, and mpirun follows. An mpirun that
    receives a SIGTERM kills its ranks within two seconds.
    """
    if grace:
        running = marked(mark)
        for process in [process for process, environ in running.items() if _RANK in environ] or running:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and marked(mark):
            time.sleep(0.1)
    for _ in range(MAX_KILL_ROUNDS):  # repeated, because a process may just be starting another
        remaining = marked(mark)
        if not remaining:
            return
        for process in remaining:
            _kill(process)
        psutil.wait_procs(list(remaining), timeout=1)


def end_one(identity: Identity | None, grace: float = 3.0) -> None:
    """End one process: SIGTERM, up to ``grace`` seconds, then SIGKILL."""
    process = identity.process() if identity else None
    if process is None:
        return
    try:
        process.terminate()
        process.wait(grace)
    except psutil.TimeoutExpired:
        _kill(process)
    except psutil.Error:
        pass


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpus() -> int:
    """Number of NVIDIA GPUs of this machine."""
    return sum(bool(re.fullmatch(r"nvidia\d+", device.name)) for device in Path("/dev").iterdir())


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.kill()


def _environments() -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process, process.environ()
        except (psutil.Error, OSError):
            continue  # it has ended, or belongs to another user
