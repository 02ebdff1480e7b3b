"""Hosts of a job as `mrc-sagemaker local train` makes them, in namespaces, with the real sshd."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import training_containers as containers
from mrc_sagemaker import local_hosts

CACHE = Path.home() / ".cache" / "mask-rcnn-test-sshd"


def sshd_directory() -> Path | None:
    """Directory with a program ``sshd``: the system's, or Debian's package unpacked; None without either."""
    if program := shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin"):
        return Path(program).parent
    wrapper = CACHE / "bin" / "sshd"
    if not wrapper.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        packages = ["openssh-server", "libwrap0"]
        if subprocess.run(["apt-get", "download", *packages], cwd=CACHE, capture_output=True).returncode:
            return None
        for package in CACHE.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, CACHE / "root"], check=True)
        libraries = ":".join(str(CACHE / "root" / part / "x86_64-linux-gnu") for part in ("usr/lib", "lib"))
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text(
            f'#!/bin/sh\nexport LD_LIBRARY_PATH={libraries}\nexec {CACHE}/root/usr/sbin/sshd "$@"\n'
        )
        wrapper.chmod(0o755)
    return wrapper.parent


def needs() -> str:
    """Why no hosts can be made here; empty if they can."""
    directory = sshd_directory()
    return local_hosts.unavailable(f"{os.environ['PATH']}:{directory or ''}")


requires_hosts = pytest.mark.skipif(bool(needs()), reason=needs() or "-")


class Host:
    """A running host; ``ml`` is its /opt/ml."""

    def __init__(self, host: local_hosts.Host, directory: Path) -> None:
        self._host = host
        self.process = host.process
        self.send = host.send
        self.ml = directory / "ml"
        self.log = directory / "log"

    def kill(self, program: str) -> None:
        """End the host's processes that run this program, as the kernel does when memory is short."""
        namespace = Path(f"/proc/{self._host.first_process}/ns/pid").readlink()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                arguments = (entry / "cmdline").read_text().split("\0")
                is_here = (entry / "ns" / "pid").readlink() == namespace
                if is_here and any(Path(argument).name == program for argument in arguments[:2]):
                    os.kill(int(entry.name), signal.SIGKILL)

    def path(self, inside: str) -> Path:
        """A path of the host, as seen from here."""
        return Path(f"/proc/{self._host.first_process}/root{inside}")

    def text(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, part: str, timeout: float = 600) -> None:
        """Wait until the log has this text."""
        deadline = time.monotonic() + timeout
        while part not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def code(self, timeout: float = 300) -> int:
        """The exit code, once there is one."""
        return self.process.wait(timeout=timeout)

    @property
    def failure(self) -> str:
        """Text of the failure file; empty without one."""
        path = self.ml / "output" / "failure"
        return path.read_text() if path.exists() else ""


@contextmanager
def running(
    directory: Path,
    data: Path,
    hyperparameters: Mapping[int, Mapping[str, str]],
    absent: int = 0,
    **environment: str,
) -> Iterator[dict[int, Host]]:
    """Hosts algo-1, algo-2, … of one job, by number, each with its own hyperparameters; one may be absent."""
    names = {number: f"algo-{number}" for number in hyperparameters}
    homes = {number: directory / f"host-{number}" for number in names if number != absent}
    for number, home in homes.items():
        home.mkdir(exist_ok=True)
        if not (home / "ml").exists():
            every = list(names.values())
            containers.lay_out(home / "ml", data, hyperparameters[number], names[number], every)
    variables = {"PATH": f"{sshd_directory()}:{os.environ['PATH']}", **environment}
    directories = {names[number]: home / "ml" for number, home in homes.items()}
    logs = {names[number]: (home / "log").open("wb") for number, home in homes.items()}
    with local_hosts.running(
        directories, list(names.values()), containers.TRAIN, variables, logs.__getitem__
    ) as hosts:
        yield {number: Host(hosts[names[number]], home) for number, home in homes.items()}
    for log in logs.values():
        log.close()
