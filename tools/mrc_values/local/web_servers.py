"""Servers that run in the foreground of `mrc-values local open`, on the loopback address only."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from mrc_cli.errors import UserError

STOP_TIMEOUT = 10.0
"""Seconds between SIGTERM and SIGKILL."""


@contextlib.contextmanager
def running(
    argv: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server within the block, its output in ``log``; SIGTERM ends it, and SIGKILL if that does not."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            argv,
            env={**os.environ, **environment},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C must reach it only through the end of this block
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_until_it_answers(
    process: subprocess.Popen[bytes], url: str, timeout: float, name: str, log: Path
) -> None:
    """Wait for a response without an error status. Raises UserError when server or ``timeout`` ends."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            with urlopen(url, timeout=5):  # noqa: S310
                return
        except (HTTPError, URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"{name} did not start{_reason(log)}. Its output: {log}") from None
            time.sleep(0.1)


def _reason(log: Path) -> str:
    """What one of our own programs says in its last line."""
    lines = log.read_text(errors="replace").splitlines()
    return f": {lines[-1].removesuffix('.')}" if lines and lines[-1].startswith("mrc-") else ""
