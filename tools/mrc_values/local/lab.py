"""Jupyter with the test notebook beside a run, on this machine's loopback address only."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from mrc_cli.errors import UserError

from mrc_values.local.state import Release

PATIENCE = 60.0
"""Seconds until Jupyter answers."""


@dataclass(frozen=True)
class Lab:
    """A Jupyter that answers at ``address`` to ``token``."""

    process: subprocess.Popen[bytes]
    address: str
    token: str


def notebooks_folder(release: Release) -> Path:
    """Where a release's notebooks lie: beside its runs, as in the cluster."""
    return Path(release.run_folder).parent / f"{release.name}-jupyter"


@contextlib.contextmanager
def running(release: Release, programs: Path, port: int, log: Path) -> Iterator[Lab]:
    """Jupyter of the environment with the folder ``programs``, from when it answers until the block is left.

    The test notebook is copied into the release's folder unless it is there. What Jupyter prints goes to
    ``log``. Raises UserError when the program is not there, or does not start.
    """
    program = shutil.which("jupyter-lab", path=str(programs))
    if program is None:
        raise UserError(f"jupyter-lab is not in {programs}. Install the extra viz into this environment.")
    folder = notebooks_folder(release)
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(24)
    environment = {"JUPYTER_TOKEN": token, "MRC_RUNS": str(Path(release.run_folder).parent)}
    if source := _source():
        environment["JUPYTER_CONFIG_PATH"] = str(source / "config")
        for notebook in (source / "notebooks").glob("*.ipynb"):
            if not (folder / notebook.name).exists():
                shutil.copy(notebook, folder)
    argv = [program, "--no-browser", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    # Its root is /, so that the notebooks reach the data; it opens on the notebooks' folder.
    argv += ["--ServerApp.port_retries=0", "--ServerApp.root_dir=/"]
    argv += [f"--FileContentsManager.preferred_dir={str(folder).lstrip('/')}"]
    if os.getuid() == 0:
        argv.append("--allow-root")
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            argv,
            env={**os.environ, **environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C reaches it once, through the end of this block
        )
    try:
        _wait(process, port, log)
        yield Lab(process, f"http://127.0.0.1:{port}/lab", token)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api", timeout=5):
                return
        except (URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"Jupyter does not start. What it says: {log}") from None
            time.sleep(0.1)


def _source() -> Path | None:
    """The checkout's folder with ``notebooks`` and ``config``."""
    found = importlib.util.find_spec("mrc_viz")
    return Path(found.origin).parents[1] if found and found.origin else None
