"""The inference server with a release's run on this machine, listening on the loopback address only."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from mrc_cli.errors import UserError

from mrc_values.local import web_servers
from mrc_values.local.state import Release

FIRST_PORT = 8080
START_TIMEOUT = 300.0
"""Seconds for TensorFlow, the model and the first images."""


@dataclass(frozen=True)
class InferenceServer:
    """A running mrc-serve."""

    process: "Popen[bytes]"
    address: str


@contextlib.contextmanager
def running(release: Release, programs: Path, port: int, log: Path) -> Iterator[InferenceServer]:
    """Run ``mrc-serve`` with the run's newest checkpoint within the block, which starts once it is ready.

    Raises UserError when the program is not installed or does not start.
    """
    program = shutil.which("mrc-serve", path=str(programs))
    if program is None:
        raise UserError(f"mrc-serve is not in {programs}. Install the extra serve-cpu into this environment.")
    argv = [program, release.run_dir, "--host", "127.0.0.1", "--port", str(port)]
    with web_servers.running(argv, {}, Path.cwd(), log) as process:
        address = f"http://127.0.0.1:{port}/"
        web_servers.wait_until_it_answers(process, f"{address}ping", START_TIMEOUT, "mrc-serve", log)
        yield InferenceServer(process, address)
