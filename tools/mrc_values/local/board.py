"""TensorBoard beside a run, on this machine's loopback address only."""

import shutil
import socket
import subprocess
from pathlib import Path

from mrc_values.local.processes import Identity
from mrc_values.local.state import Release

FIRST_PORT = 6006
_PORTS = 100


def start(release: Release, programs: Path, log: Path) -> bool:
    """Starts TensorBoard on the folder of the release's namespace; True when it is there.

    One that still runs is kept. Without the program ``tensorboard`` in the folder ``programs``
    nothing is started.
    """
    if release.tensorboard is not None and release.tensorboard.process():
        return True
    release.tensorboard, release.tensorboard_address = None, ""
    program = shutil.which("tensorboard", path=str(programs))
    if program is None:
        return False
    logdir = Path(release.run_folder).parent
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
    """The first free port of the loopback address from ``first`` on, else any."""
    for port in (*range(first, first + _PORTS), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise OSError("no free port")
