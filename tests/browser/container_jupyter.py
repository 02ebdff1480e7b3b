"""Jupyter in the container image of its pod, run by buildah with the network of this machine."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopback import free_port
from server_charts import JupyterServer, command_of, prepared, running, server, wait_until_ready


@contextmanager
def container(image: str) -> Iterator[str]:
    """A container of an image in buildah's storage; removed at the end."""
    name = f"browser-{uuid.uuid4().hex[:8]}"
    _buildah("from", "--pull-never", "--name", name, image)
    try:
        yield name
    finally:
        _buildah("rm", name)


def output_of(container: str, *command: str) -> str:
    """The output of a command in the container, run as the image's user."""
    return _buildah("run", "--isolation=chroot", container, "--", *command).strip()


@contextmanager
def jupyter_in_container(container: str, efs: Path, directory: Path) -> Iterator[JupyterServer]:
    """Jupyter with the command and environment that the chart renders, ready for requests.

    ``efs`` is mounted as the shared file system; ``directory`` is for the pod's other volumes.
    """
    rendered = server("jupyter", target_port=free_port())
    jupyter = prepared(rendered, directory)
    (directory / "home").chmod(0o777)  # like an emptyDir
    user = rendered.pod["securityContext"]
    command, environment = command_of(rendered, {}, jupyter.token)
    command = [argument.replace("--ServerApp.ip=*", "--ServerApp.ip=127.0.0.1") for argument in command]
    del environment["PATH"]  # the image sets it
    volumes = {efs: "/efs", directory / "home": "/home/jupyter", directory / "tls": "/etc/jupyter-tls:ro"}
    argv = [
        *("buildah", "run", "--isolation=chroot", f"--user={user['runAsUser']}:{user['runAsGroup']}"),
        *(f"--volume={source}:{target}" for source, target in volumes.items()),
        *(f"--env={name}={value}" for name, value in environment.items()),
        *(container, "--", *command),
    ]
    with running(argv, dict(os.environ), jupyter.log) as process:
        wait_until_ready(jupyter, process)
        yield jupyter


def change_owner(directory: Path, user: int, group: int) -> None:
    """Make a user the owner of a directory and of everything in it."""
    for root, _, files in os.walk(directory):
        for name in (root, *(os.path.join(root, file) for file in files)):  # noqa: PTH118
            shutil.chown(name, user, group)


def _buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
