"""JupyterLab with the test notebook for a release on this machine, listening on the loopback address only."""

import contextlib
import importlib.util
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from mrc_cli.errors import UserError

from mrc_values.local import web_servers
from mrc_values.local.state import Release

START_TIMEOUT = 60.0
"""Seconds within which JupyterLab has to answer."""


@dataclass(frozen=True)
class JupyterServer:
    """A running JupyterLab; ``address`` is its URL without the token."""

    process: "Popen[bytes]"
    address: str
    token: str


def notebooks_directory(release: Release) -> Path:
    """The directory of a release's notebooks: beside its runs, as in the cluster."""
    return Path(release.run_dir).parent / f"{release.name}-jupyter"


@contextlib.contextmanager
def running(release: Release, programs: Path, port: int, log: Path) -> Iterator[JupyterServer]:
    """Run the JupyterLab in the directory ``programs`` within the block, which starts once it answers.

    The test notebook is copied into the release's notebooks unless it already exists there. JupyterLab's
    output goes to ``log``. Raises UserError when the program is not installed or does not start.
    """
    program = shutil.which("jupyter-lab", path=str(programs))
    if program is None:
        raise UserError(f"jupyter-lab is not in {programs}. Install the extra viz into this environment.")
    notebooks = notebooks_directory(release)
    notebooks.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(24)
    environment = {"JUPYTER_TOKEN": token, "MRC_RUNS": str(Path(release.run_dir).parent)}
    if source := _source():
        environment["JUPYTER_CONFIG_PATH"] = str(source / "config")
        for notebook in (source / "notebooks").glob("*.ipynb"):
            if not (notebooks / notebook.name).exists():
                shutil.copy(notebook, notebooks)
    argv = [program, "--no-browser", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    # The root is / so that notebooks can reach the data; the file browser opens on the notebooks.
    argv += ["--ServerApp.port_retries=0", "--ServerApp.root_dir=/"]
    argv += [f"--FileContentsManager.preferred_dir={str(notebooks).lstrip('/')}"]
    if os.getuid() == 0:
        argv.append("--allow-root")
    with web_servers.running(argv, environment, notebooks, log) as process:
        url = f"http://127.0.0.1:{port}/api"
        web_servers.wait_until_it_answers(process, url, START_TIMEOUT, "Jupyter", log)
        yield JupyterServer(process, f"http://127.0.0.1:{port}/lab", token)


def _source() -> Path | None:
    """The directory with ``notebooks`` and ``config`` in the checkout; None outside of one."""
    spec = importlib.util.find_spec("mrc_viz")
    return Path(spec.origin).parents[1] if spec and spec.origin else None
