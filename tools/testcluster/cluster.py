"""Starts and stops a cluster, whose state is kept in a directory."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from testcluster import images, network, node
from testcluster.errors import ClusterError
from testcluster.programs import build
from testcluster.supervisor import STOPPED, Settings

SIMULATED = ["kube", "kwok", "mpi-operator"]
REAL = ["kube", "coredns", "mpi-operator"]
"""Programs of a cluster with simulated nodes, and of a cluster with a real node."""

ON_HOST = {"kubectl": "kube", "helm": "helm4", "helm3": "helm3"}
"""Names in the cluster's ``bin`` directory, and the built programs that they link to."""

NEEDS = {
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "openssl": "openssl",
}
NODE_NEEDS = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
"""System programs and their Debian packages. A real node needs both sets."""


@dataclass(frozen=True)
class Cluster:
    """A cluster and its directory; the cluster need not be running."""

    directory: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig. It exists while the cluster is running."""
        return self.directory / "kubeconfig"

    @property
    def logs(self) -> Path:
        """Directory with one log file per process. It is kept when the cluster is stopped."""
        return self.directory / "logs"

    @property
    def bin(self) -> Path:
        """Directory with kubectl, helm (version 4) and helm3."""
        return self.directory / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """Environment for a process that uses the cluster."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "PATH": path}

    @property
    def running(self) -> bool:
        """Whether the cluster is running and ready."""
        return self.kubeconfig.exists() and _alive(self._state()) is not None

    @property
    def has_real_node(self) -> bool:
        """Whether pods run as processes on a real node."""
        return self._state().get("node") == "real"

    @property
    def volumes(self) -> Path:
        """Directories that stand in for the file systems of a real node's claims, one per file system."""
        return self.directory / "volumes"

    def up(self, nodes: Mapping[str, int], *, with_caller: bool = False) -> bool:
        """Starts the cluster and waits until it is ready. Returns False when it was running already.

        ``nodes``: numbers of simulated nodes by node group; empty for one real node.
        ``with_caller``: stop the cluster when the calling process ends for whatever reason.
        Raises ClusterError when something is missing or does not start.
        """
        check_host(real_node=not nodes)
        with self._lock():
            if self.running:
                return False
            self._remove()
            programs = {name: build(name) for name in [*(SIMULATED if nodes else REAL), *ON_HOST.values()]}
            if not nodes:
                images.provide(node.images_of(self.directory / "node"))
            self._start(programs, nodes, with_caller)
        return True

    def down(self) -> None:
        """Stops the cluster, if it is running, and removes everything but its logs."""
        if self.directory.exists():
            check_host()
            with self._lock():
                self._remove()

    @contextlib.contextmanager
    def without(self, process: str) -> Iterator[None]:
        """Kills one process, such as ``kube-apiserver``, and restarts it when the block ends."""
        file = self.directory / STOPPED
        file.write_text(process)
        try:
            yield
        finally:
            file.unlink()

    @contextlib.contextmanager
    def frozen(self, process: str) -> Iterator[None]:
        """Suspends one process until the block ends: it keeps its connections but does not respond."""
        pid = self.pid(process)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def pid(self, process: str) -> int:
        """Returns the PID of one process, such as ``kube-apiserver``."""
        return next(pid for pid in _descendants(int(self._state()["pid"])) if _is_called(pid, process))

    def _start(self, programs: Mapping[str, Path], nodes: Mapping[str, int], with_caller: bool) -> None:
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        self.bin.mkdir()
        for name, program in ON_HOST.items():
            (self.bin / name).symlink_to(programs[program])
        # When the first process of a PID namespace ends, the kernel kills all others. It ends with unshare.
        argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--net", "--uts"]
        argv += ["--propagation", "private", sys.executable, "-m", "testcluster.supervisor"]
        if with_caller:
            argv = ["setpriv", "--pdeathsig", "KILL", *argv]
        log = self.logs / "supervisor.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        try:
            link = network.connect(_first_child(process))
            kind = "simulated" if nodes else "real"
            started = _started(process.pid)
            state = {"pid": str(process.pid), "started": started, "link": link.name, "node": kind}
            self._state_file.write_text(json.dumps(state))
            paths = {name: str(path) for name, path in programs.items()}
            settings = Settings(str(self.directory), link.cluster, link.host, link.name, paths, dict(nodes))
            assert process.stdin
            with process.stdin as stdin:
                stdin.write(settings.to_json() + "\n")
            self._wait(process, log)
        except BaseException:
            process.kill()
            process.wait()
            self._remove()
            raise

    def _wait(self, process: subprocess.Popen[str], log: Path) -> None:
        while not self.kubeconfig.exists():
            if process.poll() is not None:
                raise ClusterError(f"the cluster did not start; the end of {log}:\n{_tail(log)}")
            time.sleep(0.05)

    @property
    def _state_file(self) -> Path:
        return self.directory / "state.json"

    def _state(self) -> dict[str, str]:
        try:
            state: dict[str, str] = json.loads(self._state_file.read_text())
        except FileNotFoundError:
            return {}
        return state

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Serializes starts and stops."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _remove(self) -> None:
        state = self._state()
        pid = _alive(state)
        if pid is not None:
            members = _descendants(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _await_end({pid, *members})
        if state:
            network.disconnect(state["link"])
            node.remove_groups(state["link"])
        for path in (self.kubeconfig, self._state_file, self.directory / STOPPED):
            path.unlink(missing_ok=True)
        for directory in (self.bin, self.directory / "node"):
            shutil.rmtree(directory, ignore_errors=True)


def check_host(real_node: bool = False) -> None:
    """Raises ClusterError, naming what is missing, when a cluster cannot run on this machine."""
    if sys.platform != "linux":
        raise ClusterError("the cluster needs Linux, because it runs in separate namespaces.")
    needs = NEEDS | NODE_NEEDS if real_node else NEEDS
    missing = {program: package for program, package in needs.items() if not shutil.which(program)}
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise ClusterError(f"not found in PATH: {', '.join(missing)}. On Debian: apt-get install {packages}.")
    if os.geteuid() != 0:
        raise ClusterError(
            "the cluster needs root, to create namespaces and a network link. "
            "Run the same command as root, for example with sudo -E."
        )


def _first_child(process: subprocess.Popen[str]) -> int:
    """Returns the PID of the process inside the new namespaces."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            for pid in children.read_text().split():
                return int(pid)
        time.sleep(0.01)
    raise ClusterError(
        f"unshare failed with exit code {process.returncode}: this system does not allow new namespaces."
    )


def _descendants(pid: int) -> set[int]:
    pids: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                pids |= {int(child), *_descendants(int(child))}
    return pids


def _is_called(pid: int, process: str) -> bool:
    """Whether a PID belongs to this command of the program ``kube``."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:2] == [process]


def _started(pid: int) -> str:
    """Returns when a process was started, in clock ticks since boot; "" when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _alive(state: Mapping[str, str]) -> int | None:
    """Returns the PID of a running cluster, unless the PID has been reused by another process."""
    if state and _started(int(state["pid"])) == state["started"]:
        return int(state["pid"])
    return None


def _await_end(pids: set[int]) -> None:
    while any(_started(pid) for pid in pids):
        time.sleep(0.02)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text().splitlines()[-lines:])
