"""Benchmark: mrc-serve at capacity or above it. Each part of the time should be like the others.

bench/serving_soak.py EXPORTED IMAGE --minutes 30
bench/serving_soak.py EXPORTED IMAGE --minutes 5 --rate 40

/ping is asked every second.
"""

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import serving

PARTS = 10
LIMIT = 30.0
"""Seconds after which a client gives up, above the server's own limit."""


@contextmanager
def pings() -> Iterator[list[float]]:
    """Seconds that each /ping took, asked every second until the block ends."""
    took: list[float] = []
    end = threading.Event()

    def ask() -> None:
        while not end.wait(1):
            started = time.monotonic()
            assert serving.call("GET", "/ping") == 200
            took.append(time.monotonic() - started)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        end.set()
        thread.join()


def at_capacity(body: bytes, seconds: float) -> str:
    """Rate and latencies of as many clients as keep the workers busy."""
    latencies = sorted(asyncio.run(serving.closed_loop(body, 2 * serving.WORKERS, seconds)))
    median, slow = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    return f"{len(latencies) / seconds:.1f} | {median:.2f} | {slow:.2f}"


def at_rate(body: bytes, seconds: float, rate: float) -> str:
    """Rates of requests with an answer, with a 503, and of others."""
    outcomes = asyncio.run(serving.open_loop(body, rate, seconds, LIMIT))
    answered, refused = outcomes.pop("200", 0), outcomes.pop("503", 0)
    return " | ".join(f"{count / seconds:.1f}" for count in (answered, refused, outcomes.total()))


def main() -> None:
    """Print a line for each tenth of the time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="directory written by mrc-predict --export")
    parser.add_argument("image", type=Path, help="image file to send")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, help="requests per second (default: what the server answers)")
    arguments = parser.parse_args()
    command = [
        sys.executable,
        "-m",
        "mrc_serve.cli",
        str(arguments.model.resolve()),
        "--port",
        str(serving.PORT),
    ]
    stack = serving.Stack("mrc-serve", [command], {"MODEL_SERVER_WORKERS": str(serving.WORKERS)})
    body = arguments.image.read_bytes()
    columns = "answers/s | 503/s | others/s" if arguments.rate else "images/s | p50 s | p99 s"
    with tempfile.TemporaryDirectory() as directory, serving.running(stack, Path(directory)) as pids:
        serving.wait_until_ready()
        print(f"| minutes | {columns} | slowest /ping s | anonymous memory MB |\n|{' --- |' * 6}")
        seconds = arguments.minutes * 60 / PARTS
        for part in range(1, PARTS + 1):
            with pings() as took:
                if arguments.rate:
                    figures = at_rate(body, seconds, arguments.rate)
                else:
                    figures = at_capacity(body, seconds)
            print(
                f"| {part * arguments.minutes / PARTS:.1f} | {figures} | {max(took):.2f} "
                f"| {serving.anonymous_mb(pids):.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
