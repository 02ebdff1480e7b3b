"""The processes of a cluster, each with a log file."""

import os
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from testcluster.errors import ClusterError


class Processes:
    """Processes that all have to run: one that ends, ends the cluster."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._commands: dict[str, tuple[Sequence[object], dict[str, str]]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[object], **environment: str) -> None:
        """Starts a process; what it prints goes to ``<name>.log``."""
        self._commands[name] = (argv, environment)
        self._running[name] = popen(argv, self.logs / f"{name}.log", **environment)

    def stop_only(self, names: Collection[str]) -> None:
        """Kills these, which then need not run, and starts again what was stopped before."""
        for name in self._running.keys() & names:
            process = self._running.pop(name)
            process.kill()
            process.wait()
        for name in self._commands.keys() - self._running.keys() - set(names):
            argv, environment = self._commands[name]
            self.start(name, argv, **environment)

    def check(self) -> None:
        """Raises ClusterError when one has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ClusterError(f"{name} ended with {process.returncode}. See {self.logs / name}.log.")

    def wait(self, what: str, ready: Callable[[], bool], seconds: float = 90) -> None:
        """Waits until ``ready``, an OSError counting as not yet, and prints what is ready."""
        end = time.monotonic() + seconds
        while not _true(ready):
            self.check()
            if time.monotonic() > end:
                raise ClusterError(f"{what}: not ready after {seconds:.0f} s. See {self.logs}.")
            time.sleep(0.1)
        print(f"{what}: ready", flush=True)


def popen(argv: Sequence[object], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A process without input, whose output is appended to ``log``."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )


def _true(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except OSError:
        return False
