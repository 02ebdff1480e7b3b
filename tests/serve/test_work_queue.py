"""The bounded queue: what is done, what is rejected, and that rejected work is never done."""

import asyncio
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from mrc_serve.errors import RequestError
from mrc_serve.work_queue import WorkQueue


class Gate:
    """Work that blocks its worker until ``open`` is called, and counts how often it was done."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.done = 0

    def open(self) -> None:
        self._open.set()

    def __call__(self) -> int:
        assert self._open.wait(30)
        self.done += 1
        return self.done


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def soon() -> float:
    return time.monotonic() + 30


async def until(condition: object) -> None:
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0.005)


def test_results_and_errors_come_back_from_the_worker() -> None:
    async def go() -> None:
        queue = WorkQueue(2, 4, 30)
        assert await asyncio.gather(*(queue.run(partial(pow, n, 2), soon()) for n in range(4))) == [
            0,
            1,
            4,
            9,
        ]
        with pytest.raises(ZeroDivisionError):
            await queue.run(lambda: 1 / 0, soon())
        assert await queue.run(lambda: "alive", soon()) == "alive"

    asyncio.run(go())


def test_a_full_queue_rejects_at_once_names_its_length_and_recovers(gate: Gate) -> None:
    async def go() -> None:
        queue = WorkQueue(1, 2, 30)
        running = asyncio.ensure_future(queue.run(gate, soon()))
        await until(lambda: queue.running == 1)
        waiting = [asyncio.ensure_future(queue.run(gate, soon())) for _ in range(2)]
        await until(lambda: queue.waiting == 2)
        with pytest.raises(RequestError, match=r"queue of 2 requests is full \(MRC_SERVE_QUEUE\)") as error:
            await queue.run(gate, soon())
        assert error.value.status == 503
        assert error.value.retry_after
        gate.open()
        assert sorted(await asyncio.gather(running, *waiting)) == [1, 2, 3]
        assert await queue.run(gate, soon()) == 4

    asyncio.run(go())


def test_work_whose_deadline_passes_in_the_queue_is_never_done(gate: Gate) -> None:
    async def go() -> None:
        queue = WorkQueue(1, 8, 30)
        running = asyncio.ensure_future(queue.run(gate, soon()))
        await until(lambda: queue.running == 1)
        with pytest.raises(RequestError, match=r"not answered within 30 seconds \(MODEL_SERVER_TIMEOUT\)"):
            await queue.run(gate, time.monotonic() + 0.05)
        assert queue.waiting == 0
        gate.open()
        await running
        await queue.run(lambda: None, soon())
        assert gate.done == 1

    asyncio.run(go())


def test_work_that_nobody_waits_for_any_more_is_never_done(gate: Gate) -> None:
    async def go() -> None:
        queue = WorkQueue(1, 8, 30)
        running = asyncio.ensure_future(queue.run(gate, soon()))
        await until(lambda: queue.running == 1)
        gone = asyncio.ensure_future(queue.run(gate, soon()))
        await until(lambda: queue.waiting == 1)
        gone.cancel()
        await until(lambda: queue.waiting == 0)
        gate.open()
        await running
        await queue.run(lambda: None, soon())
        assert gate.done == 1

    asyncio.run(go())


def test_what_is_expected_to_be_late_is_rejected_before_it_waits(gate: Gate) -> None:
    async def go() -> None:
        queue = WorkQueue(1, 100, 30)
        await queue.run(lambda: time.sleep(0.2), soon())  # what an image takes
        running = asyncio.ensure_future(queue.run(gate, soon()))
        await until(lambda: queue.running == 1)
        waiting = [asyncio.ensure_future(queue.run(gate, soon())) for _ in range(20)]
        await until(lambda: queue.waiting == 20)
        with pytest.raises(RequestError, match=r"cannot be answered within 30 seconds .* 20 requests wait"):
            queue.check(time.monotonic() + 2)
        queue.check(soon())
        gate.open()
        await asyncio.gather(running, *waiting)

    asyncio.run(go())


def test_an_image_that_took_longer_than_the_timeout_does_not_block_the_next_ones() -> None:
    async def go() -> None:
        queue = WorkQueue(1, 4, 0.5)
        with pytest.raises(RequestError, match="not answered within"):
            await queue.run(lambda: time.sleep(1.5), time.monotonic() + 0.5)
        await until(lambda: queue.running == 0)
        assert await queue.run(lambda: "quick", time.monotonic() + 0.5) == "quick"

    asyncio.run(go())
