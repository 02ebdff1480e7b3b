"""Ends a rank that makes no progress: MPI has no timeout, so one frozen rank keeps all others waiting."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

CHECK_SECONDS = 1.0


class Watchdog:
    """Ends the process when nothing has been reported for too long; mpirun then ends the other ranks.

    Args:
        timeout_seconds: longest time between two reports; steps, images of an evaluation and checkpoints
            count. The first step includes the compilation of the graph.
        rank: named in the message.
        heartbeat: called every second from another thread; of rank 0.
    """

    def __init__(
        self, timeout_seconds: float, rank: int, heartbeat: Callable[[], None] | None = None
    ) -> None:
        self._timeout = timeout_seconds
        self._rank = rank
        self._heartbeat = heartbeat
        self._last_report = time.monotonic()
        self._step = 0
        self._stopped = threading.Event()

    def start(self, step: int) -> None:
        """Start watching after ``step`` finished steps."""
        self.report(step)
        threading.Thread(target=self._watch, name="mrc-watchdog", daemon=True).start()

    def report(self, step: int | None = None) -> None:
        """Take note that the process is alive, and of a finished step."""
        self._last_report = time.monotonic()
        if step is not None:
            self._step = step

    def reporting(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each of them a report."""
        for item in items:
            self.report()
            yield item

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            if self._heartbeat:
                self._heartbeat()
            idle = time.monotonic() - self._last_report
            if idle > self._timeout:
                print(
                    f"mrc-train: error: rank {self._rank}: no progress for {idle:.0f} s after step "
                    f"{self._step} (TRAIN.STEP_TIMEOUT={self._timeout:g}): a rank, the network or the file "
                    "system hangs; start again to resume from the newest checkpoint",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(1)
