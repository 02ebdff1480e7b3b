"""Benchmark: mrc-serve against the stack of the tutorial's container, nginx + gunicorn + flask, one model.

The rival is written here after that container: two gunicorn workers of the class sync, each with its own
model, behind nginx; its handler calls the same decoding and model. It runs as it comes, with NumPy's BLAS
threads and the matrix products that this project pasted masks with at first; with one BLAS thread; and with
this project's paste, which leaves only the servers to differ.

Measured: CPU time and rate at capacity; answers in time at twice the capacity, from clients that give up
after --limit seconds; memory (PSS); the time from the start to the first 200 of /ping.

    uv venv /tmp/rival && uv pip install --python /tmp/rival gunicorn flask '.[serve-cpu]'
    bench/serving.py EXPORTED IMAGE --rival /tmp/rival
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PORT = 18080
WORKERS = 2
WARM_UP = 5.0
"""Seconds of requests before the measurement."""

NGINX = f"""
worker_processes 1; daemon off; pid nginx.pid; error_log stderr;
events {{ }}
http {{
  access_log off;
  client_body_temp_path nb; proxy_temp_path np; fastcgi_temp_path nf; uwsgi_temp_path nu; scgi_temp_path ns;
  upstream gunicorn {{ server unix:gunicorn.sock; }}
  server {{
    listen 127.0.0.1:{PORT} deferred;
    client_max_body_size 6m;
    keepalive_timeout 5;
    proxy_read_timeout 300s;
    location ~ ^/(ping|invocations) {{ proxy_set_header Host $http_host; proxy_pass http://gunicorn; }}
    location / {{ return 404; }}
  }}
}}
"""

FLASK = """
import os, threading
import flask
import mrc_train.evaluation.detections as detections
from mrc_serve.answers import Wanted, answer_image
from mrc_train.exported import ExportedModel

if os.environ.get("MATRIX_PRODUCTS"):
    import matrix_paste
    detections.paste_mask = matrix_paste.paste_mask

app = flask.Flask(__name__)
_model, _lock = None, threading.Lock()

def model():
    global _model
    with _lock:
        if _model is None:
            _model = ExportedModel.load(os.environ["MODEL"])
    return _model

@app.get("/ping")
def ping():
    model()
    return "\\n", 200

@app.post("/invocations")
def invocations():
    wanted = Wanted(threshold=0.0, maximum=20)
    answer = answer_image(model(), flask.request.data, wanted, 10**9)
    return flask.Response(answer.body, mimetype=answer.media_type)
"""


@dataclass
class Stack:
    """A server to measure."""

    name: str
    commands: list[list[str]]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Figures:
    """What was measured of a stack. Times in seconds, memory in MB."""

    ready: float
    memory: float
    anonymous: float
    rate: float
    cpu: float
    p50: float
    p99: float
    in_time: float
    outcomes: dict[str, int]


def stacks(model: Path, rival: Path, limit: float) -> list[Stack]:
    """Ours, and the rival in its three variants."""
    rival_python = str(rival / "bin" / "python")
    gunicorn = [rival_python, "-m", "gunicorn", "--timeout", "60", "-k", "sync", "-b", "unix:gunicorn.sock"]
    theirs = [
        [*gunicorn, "-w", str(WORKERS), "rival:app"],
        [nginx(), "-c", str(rival / "nginx.conf"), "-p", str(rival)],
    ]
    ours = [sys.executable, "-m", "mrc_serve.cli", str(model), "--port", str(PORT)]
    served = {
        "MODEL_SERVER_WORKERS": str(WORKERS),
        "MODEL_SERVER_TIMEOUT": str(limit),
        "MRC_SERVE_QUEUE": "8",
    }
    known = {"MODEL": str(model), "PYTHONPATH": str(Path(__file__).parent)}
    return [
        Stack("mrc-serve", [ours], served),
        Stack("nginx + gunicorn + flask, as it comes", theirs, {**known, "MATRIX_PRODUCTS": "1"}),
        Stack(
            "the same, one BLAS thread",
            theirs,
            {**known, "MATRIX_PRODUCTS": "1", "OPENBLAS_NUM_THREADS": "1"},
        ),
        Stack("the same, with this project's paste", theirs, known),
    ]


def nginx() -> str:
    """The program nginx; exits without one."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/tmp/nginx/usr/sbin")
    if program is None:
        sys.exit("bench/serving.py: nginx not found. Install it with: apt-get install nginx-light")
    return program


@contextmanager
def running(stack: Stack, directory: Path) -> Iterator[list[int]]:
    """The stack's processes within the block."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", **stack.environment}
    log = (directory / "log").open("wb")
    processes = [
        subprocess.Popen(
            command, cwd=directory, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        for command in stack.commands
    ]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)
        time.sleep(2)
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tree(pids: Sequence[int]) -> list[psutil.Process]:
    parents = [psutil.Process(pid) for pid in pids]
    return [process for parent in parents for process in (parent, *parent.children(recursive=True))]


def cpu_seconds(pids: Sequence[int]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in tree(pids))


def memory_mb(pids: Sequence[int]) -> float:
    """PSS, which counts a page that n processes share 1/n times in each."""
    return float(sum(process.memory_full_info().pss for process in tree(pids)) / 1e6)


def anonymous_mb(pids: Sequence[int]) -> float:
    """Memory without the pages of files, of which a library's are shared with whatever else uses it."""
    status = [Path(f"/proc/{process.pid}/status").read_text() for process in tree(pids)]
    return sum(int(text.partition("RssAnon:")[2].split()[0]) for text in status) / 1e3


def call(method: str, path: str, body: bytes | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def wait_until_ready() -> None:
    for _ in range(1200):
        try:
            if call("GET", "/ping") == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.1)
    sys.exit("bench/serving.py: a server did not start; its output is in the file log")


async def post(body: bytes) -> int:
    """One request on a connection of its own; returns the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    try:
        head = f"POST /invocations?threshold=0&max=20 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        answer = await reader.read()
        match = re.match(rb"HTTP/1.1 (\d+)", answer)
        if not match or b"\r\n\r\n" not in answer:
            raise ConnectionResetError
        return int(match[1])
    finally:
        writer.close()


async def closed_loop(body: bytes, clients: int, seconds: float) -> list[float]:
    """Latencies of clients that send the next request when they have the answer."""
    latencies: list[float] = []
    end = time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < end:
            started = time.monotonic()
            status = await post(body)
            assert status in (200, 503), status
            if status == 200:
                latencies.append(time.monotonic() - started)

    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies


async def open_loop(body: bytes, rate: float, seconds: float, limit: float) -> Counter[str]:
    """Outcomes of requests at a rate, whatever the server does; clients give up after the limit."""
    outcomes: Counter[str] = Counter()
    started = time.monotonic()

    async def client() -> None:
        try:
            async with asyncio.timeout(limit):
                outcomes[str(await post(body))] += 1
        except TimeoutError:
            outcomes["gave up"] += 1
        except OSError:
            outcomes["connection error"] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0, started + number / rate - time.monotonic()))
            group.create_task(client())
    return outcomes


def measure(stack: Stack, body: bytes, directory: Path, seconds: float, limit: float, rate: float) -> Figures:
    """All figures of one stack; ``rate`` 0 offers twice what this stack was measured to do."""
    started = time.monotonic()
    with running(stack, directory) as pids:
        wait_until_ready()
        ready = time.monotonic() - started
        asyncio.run(
            closed_loop(body, 2 * WORKERS, WARM_UP)
        )  # a worker loads its model when it is first asked
        before, begun = cpu_seconds(pids), time.monotonic()
        latencies = asyncio.run(closed_loop(body, 2 * WORKERS, seconds))
        elapsed, cpu = time.monotonic() - begun, cpu_seconds(pids) - before
        capacity = len(latencies) / elapsed
        offered = rate or 2 * capacity
        outcomes = asyncio.run(open_loop(body, offered, seconds, limit))
        memory, anonymous = memory_mb(pids), anonymous_mb(pids)
    ordered = sorted(latencies)
    return Figures(
        ready=ready,
        memory=memory,
        anonymous=anonymous,
        rate=capacity,
        cpu=cpu / len(latencies),
        p50=statistics.median(ordered),
        p99=ordered[int(len(ordered) * 0.99)],
        in_time=outcomes["200"] / seconds,
        outcomes=dict(outcomes),
    )


def main() -> None:
    """Measure every stack on each image and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="directory written by mrc-predict --export")
    parser.add_argument("images", type=Path, nargs="+", help="image files to send")
    parser.add_argument(
        "--rival", type=Path, required=True, help="environment with gunicorn, flask and this project"
    )
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--limit", type=float, default=2, help="seconds after which clients give up")
    arguments = parser.parse_args()
    (arguments.rival / "nginx.conf").write_text(NGINX)
    (arguments.rival / "rival.py").write_text(textwrap.dedent(FLASK))
    for image in arguments.images:
        body = image.read_bytes()
        print(f"\n{image.name}: {len(body)} bytes\n")
        print(
            "| stack | ready s | PSS (anonymous) MB | images/s | CPU ms/image | p50 s | p99 s "
            "| offered/s | in time/s |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        offered = 0.0
        for stack in stacks(arguments.model.resolve(), arguments.rival.resolve(), arguments.limit):
            figures = measure(stack, body, arguments.rival, arguments.seconds, arguments.limit, offered)
            # All stacks are offered the same: twice what the first one does.
            offered = offered or 2 * figures.rate
            print(
                f"| {stack.name} | {figures.ready:.1f} | {figures.memory:.0f} ({figures.anonymous:.0f}) "
                f"| {figures.rate:.1f} | {1000 * figures.cpu:.0f} | {figures.p50:.2f} | {figures.p99:.2f} "
                f"| {offered:.1f} | {figures.in_time:.1f} |",
                flush=True,
            )
            print(f"  {stack.name}: {figures.outcomes}", file=sys.stderr)


if __name__ == "__main__":
    main()
