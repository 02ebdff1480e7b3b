"""The processes of a cluster and their log files."""

import os
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from testcluster.errors import ClusterError


class Processes:
    """Processes that all have to keep running: when one ends, the cluster ends."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._commands: dict[str, tuple[Sequence[object], dict[str, str]]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[object], **environment: str) -> None:
        """Starts a process. Its output goes to ``<name>.log``."""
        self._commands[name] = (argv, environment)
        self._running[name] = popen(argv, self.logs / f"{name}.log", **environment)

    def stop_only(self, names: Collection[str]) -> None:
        """Kills the named processes, and restarts those that were stopped before and are no longer named."""
        for name in self._running.keys() & names:
            process = self._running.pop(name)
            process.kill()
            process.wait()
        for name in self._commands.keys() - self._running.keys() - set(names):
            argv, environment = self._commands[name]
            self.start(name, argv, **environment)

    def check(self) -> None:
        """Raises ClusterError when a process has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ClusterError(
                    f"{name} ended with exit code {process.returncode}. See {self.logs / name}.log."
                )

    def wait(self, what: str, ready: Callable[[], bool], seconds: float = 90) -> None:
        """Waits until ``ready`` returns true. An OSError counts as false.

        Raises ClusterError after ``seconds``.
        """
        end = time.monotonic() + seconds
        while not _true(ready):
            self.check()
            if time.monotonic() > end:
                raise ClusterError(f"{what}: not ready after {seconds:.0f} s. See {self.logs}.")
            time.sleep(0.1)
        print(f"{what}: ready", flush=True)


def popen(argv: Sequence[object], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Starts a process without input; its output is appended to ``log``."""
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
