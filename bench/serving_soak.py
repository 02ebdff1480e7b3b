"""Benchmark: mrc-serve at capacity for a while. Latencies and memory of each part of the time should be flat.

bench/serving_soak.py EXPORTED IMAGE --minutes 30
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import serving


def main() -> None:
    """Print a line for each tenth of the time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="directory written by mrc-predict --export")
    parser.add_argument("image", type=Path, help="image file to send")
    parser.add_argument("--minutes", type=float, default=30)
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
    with tempfile.TemporaryDirectory() as directory, serving.running(stack, Path(directory)) as pids:
        serving.wait_until_ready()
        print("| minutes | images/s | p50 s | p99 s | anonymous memory MB |\n| --- | --- | --- | --- | --- |")
        seconds = arguments.minutes * 6
        for part in range(1, 11):
            latencies = sorted(asyncio.run(serving.closed_loop(body, 2 * serving.WORKERS, seconds)))
            print(
                f"| {part * arguments.minutes / 10:.1f} | {len(latencies) / seconds:.1f} "
                f"| {latencies[len(latencies) // 2]:.2f} | {latencies[int(len(latencies) * 0.99)]:.2f} "
                f"| {serving.anonymous_mb(pids):.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
