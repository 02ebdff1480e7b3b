"""Finding and ending every process of a run.

mpirun puts each rank into a process group of its own, and ranks outlive a killed mpirun; what they
all keep is the environment they were started with. A variable in it marks the run.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

RUN = "MRC_LOCAL_RUN"
KILL_ROUNDS = 20
_RANK = "OMPI_COMM_WORLD_RANK"


@dataclass(frozen=True)
class Identity:
    """A process beyond doubt: a pid alone may be another's by now. ``created`` is seconds since the epoch."""

    pid: int
    created: float

    @staticmethod
    def of(pid: int) -> "Identity":
        """Raises psutil.NoSuchProcess when there is none."""
        return Identity(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process while it runs; None for one that has ended, zombies included."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 0.01
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


def marked(mark: str) -> dict[psutil.Process, dict[str, str]]:
    """Running processes of the run ``mark``, each with its environment."""
    return {process: environ for process, environ in _environments() if environ.get(RUN) == mark}


def ranks(mark: str) -> set[int]:
    """MPI ranks of the run that are alive."""
    return {int(environ[_RANK]) for environ in marked(mark).values() if _RANK in environ}


def end(mark: str, grace: float = 0) -> None:
    """Ends every process of the run: SIGTERM, at most ``grace`` seconds, SIGKILL.

    Where there are ranks, they alone get the SIGTERM: they save and leave, and mpirun follows. After a
    SIGTERM of its own it would kill them within two seconds.
    """
    if grace:
        found = marked(mark)
        for process in [process for process, environ in found.items() if _RANK in environ] or found:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and marked(mark):
            time.sleep(0.1)
    for _ in range(KILL_ROUNDS):  # more than one, for a process that was just being started
        left = marked(mark)
        if not left:
            return
        for process in left:
            _kill(process)
        psutil.wait_procs(list(left), timeout=1)


def end_one(identity: Identity | None, grace: float = 3.0) -> None:
    """Ends one process: SIGTERM, ``grace`` seconds, SIGKILL."""
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
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpus() -> int:
    """NVIDIA GPUs of this machine."""
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
            continue  # gone, or another user's
