"""Jupyter from the pods' own image, run by buildah: its files, its user, the network of this machine."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server_charts import JupyterServer, command_of, free_port, prepared, running, server, wait_until_ready


@contextmanager
def container(image: str) -> Iterator[str]:
    """A container of an image that buildah has; removed at the end."""
    name = f"browser-{uuid.uuid4().hex[:8]}"
    _buildah("from", "--pull-never", "--name", name, image)
    try:
        yield name
    finally:
        _buildah("rm", name)


def printed(container: str, *command: str) -> str:
    """What a command prints in the container, run by the image's user."""
    return _buildah("run", "--isolation=chroot", container, "--", *command).strip()


@contextmanager
def jupyter_of_image(container: str, efs: Path, folder: Path) -> Iterator[JupyterServer]:
    """Jupyter with exactly what the chart renders, once it answers.

    ``efs`` is mounted as the shared file system; ``folder`` holds what a pod has of its own.
    """
    found = server("jupyter", target_port=free_port())
    lab = prepared(found, folder)
    (folder / "home").chmod(0o777)  # as an emptyDir is
    user = found.pod["securityContext"]
    command, environment = command_of(found, {}, lab.token)
    command = [argument.replace("--ServerApp.ip=*", "--ServerApp.ip=127.0.0.1") for argument in command]
    del environment["PATH"]  # the image's own
    volumes = {efs: "/efs", folder / "home": "/home/jupyter", folder / "tls": "/etc/jupyter-tls:ro"}
    argv = [
        *("buildah", "run", "--isolation=chroot", f"--user={user['runAsUser']}:{user['runAsGroup']}"),
        *(f"--volume={here}:{there}" for here, there in volumes.items()),
        *(f"--env={name}={value}" for name, value in environment.items()),
        *(container, "--", *command),
    ]
    with running(argv, dict(os.environ), lab.log) as process:
        wait_until_ready(lab, process)
        yield lab


def owned_by(folder: Path, user: int, group: int) -> None:
    """Gives a folder and all in it to a user."""
    for place, _, files in os.walk(folder):
        for name in (place, *(os.path.join(place, file) for file in files)):  # noqa: PTH118
            shutil.chown(name, user, group)


def _buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
