"""Hosts in namespaces of this machine: their own network, name, mounts and processes, with the real sshd."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import training_containers as containers

HOST = Path(__file__).parent / "host.sh"
CACHE = Path.home() / ".cache" / "mask-rcnn-test-sshd"


def sshd_directory() -> Path | None:
    """Directory with a program ``sshd``: the system's, or Debian's package unpacked; None without either."""
    if found := shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin"):
        return Path(found).parent
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
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("unshare") or not shutil.which("ip"):
        return "needs unshare and ip"
    return "" if sshd_directory() else "needs sshd (apt-get install openssh-server)"


requires_hosts = pytest.mark.skipif(bool(needs()), reason=needs() or "-")


class Host:
    """A running host; ``ml`` is its /opt/ml."""

    def __init__(self, number: int, directory: Path, environment: Mapping[str, str]) -> None:
        self.number = number
        self.ml = directory / "ml"
        self.log = directory / "log"
        command = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, HOST, directory, str(number), *containers.TRAIN],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": f"{sshd_directory()}:{os.environ['PATH']}", **environment},
            )

    @property
    def first_process(self) -> int:
        """Process 1 of the host, as numbered outside."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + 30
        while not (text := children.read_text().strip()):
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)
        return int(text.split()[0])

    def send(self, number: signal.Signals) -> None:
        """A signal for the host's first process, as SageMaker sends it."""
        os.kill(self.first_process, number)

    def text(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, part: str, timeout: float = 240) -> None:
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
    names = [f"algo-{number}" for number in hyperparameters]
    bridge = f"mrcsm{os.getpid()}"[:15]
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    hosts: dict[int, Host] = {}
    try:
        subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
        for number, given in hyperparameters.items():
            if number == absent:
                continue
            here = directory / f"host-{number}"
            containers.lay_out(here / "ml", data, given, f"algo-{number}", names)
            addresses = "".join(f"198.18.201.{each} algo-{each}\n" for each in hyperparameters)
            (here / "hosts").write_text(f"127.0.0.1 localhost\n{addresses}")
            passwd = Path("/etc/passwd").read_text()
            if "\nsshd:" not in passwd:
                passwd += "sshd:x:22222:22222::/run/sshd:/usr/sbin/nologin\n"
            (here / "passwd").write_text(passwd)
            host = hosts[number] = Host(number, here, environment)
            time.sleep(0.3)
            cable = f"mrcsm{number}v{os.getpid()}"[:15]
            peer = ["type", "veth", "peer", "name", "eth0", "netns", str(host.first_process)]
            subprocess.run(["ip", "link", "add", cable, *peer], check=True)
            subprocess.run(["ip", "link", "set", cable, "master", bridge, "up"], check=True)
        yield hosts
    finally:
        for host in hosts.values():
            host.process.kill()
            host.process.wait()
        subprocess.run(["ip", "link", "del", bridge])
