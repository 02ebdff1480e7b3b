"""A bounded queue in front of worker threads. What cannot be done in time is rejected before it costs work.

Each request has a deadline. It is rejected at once when the queue is full or when the requests before it take
too long already, and dropped when its turn comes too late or its client has gone.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mrc_serve.errors import RequestError

T = TypeVar("T")

SMOOTHING = 0.2
"""Weight of the newest duration in the moving average."""


@dataclass(eq=False)
class _Job(Generic[T]):
    work: Callable[[], T]
    images: int
    deadline: float
    future: "asyncio.Future[T]"
    loop: asyncio.AbstractEventLoop
    abandoned: bool = False
    """Set when nobody waits for the result any more."""

    def finish(self, deliver: Callable[[Any], None], outcome: object) -> None:
        def on_loop() -> None:
            if not self.future.done():
                deliver(outcome)

        self.loop.call_soon_threadsafe(on_loop)


class WorkQueue:
    """``await queue.run(work, deadline)`` in one of the threads, or RequestError with status 503.

    Args:
        workers: threads.
        length: requests that may wait.
        timeout: seconds between a request's arrival and its deadline, named in messages.
    """

    def __init__(self, workers: int, length: int, timeout: float) -> None:
        self._workers, self._length, self._timeout = workers, length, timeout
        self._waiting: deque[_Job[Any]] = deque()
        self._running: set[_Job[Any]] = set()
        self._changed = threading.Condition()
        self._seconds_per_image = 0.0
        for number in range(workers):
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Requests that wait for a worker."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests that a worker processes."""
        return len(self._running)

    def check(self, deadline: float, images: int = 1) -> None:
        """Raise the RequestError that ``run`` would raise at once, before the body is read."""
        with self._changed:
            self._check(deadline, images)

    async def run(self, work: Callable[[], T], deadline: float, images: int = 1) -> T:
        """The result of ``work``, called in a thread; cancellation skips work that has not started.

        Args:
            deadline: on ``time.monotonic()``'s clock.
            images: what the work consists of, for the estimate of its duration.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, images, deadline, loop.create_future(), loop)
        with self._changed:
            self._check(deadline, images)
            self._waiting.append(job)
            self._changed.notify()
        try:
            async with asyncio.timeout_at(loop.time() + deadline - time.monotonic()):
                outcome: T = await job.future
                return outcome
        except TimeoutError:
            raise self._too_late() from None
        finally:
            self._abandon(job)

    def _abandon(self, job: _Job[Any]) -> None:
        """Free the place of a job whose client got an answer already, or has gone."""
        job.abandoned = True
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def _check(self, deadline: float, images: int) -> None:
        if len(self._waiting) >= self._length:
            raise self._rejection(f"the queue of {self._length} requests is full (MRC_SERVE_QUEUE)")
        # An image alone is always tried: an estimate that forbade it could never become better.
        wait = self._wait() if len(self._running) + len(self._waiting) >= self._workers else 0.0
        own = min(images * self._seconds_per_image, self._timeout / 2)
        if wait + own > deadline - time.monotonic():
            raise self._rejection(
                f"cannot be answered within {self._timeout:g} seconds (MODEL_SERVER_TIMEOUT): "
                f"{len(self._waiting)} requests wait"
            )

    def _wait(self) -> float:
        """Expected seconds until a new job starts: running ones are half done on average."""
        images = sum(job.images for job in self._waiting) + sum(job.images for job in self._running) / 2
        return images * self._seconds_per_image / self._workers

    def _rejection(self, message: str) -> RequestError:
        with self._changed:
            return RequestError(503, message, retry_after=max(1, math.ceil(self._wait() / 2)))

    def _too_late(self) -> RequestError:
        return self._rejection(f"not answered within {self._timeout:g} seconds (MODEL_SERVER_TIMEOUT)")

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                job = self._waiting.popleft()
                left = job.deadline - time.monotonic()
                late = left < min(job.images * self._seconds_per_image, self._timeout / 2)
                if not (job.abandoned or late):
                    self._running.add(job)
            if job.abandoned:
                continue
            if late:
                job.finish(job.future.set_exception, self._too_late())
                continue
            started = time.monotonic()
            try:
                result = job.work()
            except Exception as error:
                job.finish(job.future.set_exception, error)
            else:
                self._learn((time.monotonic() - started) / job.images)
                job.finish(job.future.set_result, result)
            finally:
                with self._changed:
                    self._running.discard(job)

    def _learn(self, seconds: float) -> None:
        with self._changed:
            old = self._seconds_per_image
            self._seconds_per_image = old + SMOOTHING * (seconds - old) if old else seconds
