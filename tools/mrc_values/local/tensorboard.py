"""TensorBoard for a release on this machine, listening on the loopback address only."""

import shutil
import socket
import subprocess
from pathlib import Path

from mrc_values.local.processes import Identity
from mrc_values.local.state import Release

FIRST_PORT = 6006
_PORTS_TO_TRY = 100


def start(release: Release, programs: Path, log: Path) -> bool:
    """Start TensorBoard on the runs in the release's namespace, unless it is running already.

    Returns False, and starts nothing, when the directory ``programs`` has no program ``tensorboard``.
    """
    if release.tensorboard is not None and release.tensorboard.process():
        return True
    release.tensorboard, release.tensorboard_address = None, ""
    program = shutil.which("tensorboard", path=str(programs))
    if program is None:
        return False
    logdir = Path(release.run_dir).parent
    logdir.mkdir(parents=True, exist_ok=True)
    port = free_port(FIRST_PORT)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            [program, "--logdir", str(logdir), "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    release.tensorboard = Identity.of(process.pid)
    release.tensorboard_address = f"http://127.0.0.1:{port}/"
    return True


def free_port(first: int) -> int:
    """The first free loopback port from ``first`` on, or any free port when many are taken."""
    for port in (*range(first, first + _PORTS_TO_TRY), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            bound: int = probe.getsockname()[1]
            return bound
    raise OSError("no free port")
