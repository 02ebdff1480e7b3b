"""Starts and stops a cluster that lives in a folder."""

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
"""Programs of a cluster with simulated nodes, and of one with a real node."""

ON_HOST = {"kubectl": "kube", "helm": "helm4", "helm3": "helm3"}
"""Programs for who uses the cluster, in its ``bin`` folder, and the built ones that they are."""

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
"""System programs and the Debian packages that have them; the latter for a real node."""


@dataclass(frozen=True)
class Cluster:
    """A cluster in a folder, running or not."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; there as long as the cluster is."""
        return self.folder / "kubeconfig"

    @property
    def logs(self) -> Path:
        """A log file for each process; kept when the cluster goes."""
        return self.folder / "logs"

    @property
    def bin(self) -> Path:
        """kubectl, helm (4) and helm3."""
        return self.folder / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a process that uses the cluster."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "PATH": path}

    @property
    def running(self) -> bool:
        """Whether it runs and is ready."""
        return self.kubeconfig.exists() and _alive(self._state()) is not None

    @property
    def has_real_node(self) -> bool:
        """Whether its pods are processes that run."""
        return self._state().get("node") == "real"

    @property
    def volumes(self) -> Path:
        """What the claims of a real node hold, a folder each."""
        return self.folder / "volumes"

    def up(self, nodes: Mapping[str, int], *, with_caller: bool = False) -> bool:
        """Starts it and waits until it is ready; False when it runs already.

        ``nodes`` are numbers of simulated nodes; none: one real node. With ``with_caller`` it ends when the
        calling process does, however that ends.
        Raises ClusterError when something is missing or does not start.
        """
        check_host(real_node=not nodes)
        with self._lock():
            if self.running:
                return False
            self._remove()
            programs = {name: build(name) for name in [*(SIMULATED if nodes else REAL), *ON_HOST.values()]}
            if not nodes:
                images.provide(node.images_of(self.folder / "node"))
            self._start(programs, nodes, with_caller)
        return True

    def down(self) -> None:
        """Ends it and removes all but its logs; nothing to do is fine."""
        if self.folder.exists():
            check_host()
            with self._lock():
                self._remove()

    @contextlib.contextmanager
    def without(self, process: str) -> Iterator[None]:
        """Kills one of its processes, such as ``kube-apiserver``; starts it again when the block ends."""
        file = self.folder / STOPPED
        file.write_text(process)
        try:
            yield
        finally:
            file.unlink()

    @contextlib.contextmanager
    def frozen(self, process: str) -> Iterator[None]:
        """Stops one of its processes until the block ends: it keeps its connections and answers nothing."""
        pid = self.pid(process)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def pid(self, process: str) -> int:
        """The number of one of its processes, such as ``kube-apiserver``."""
        return next(pid for pid in _descendants(int(self._state()["pid"])) if _is_called(pid, process))

    def _start(self, programs: Mapping[str, Path], nodes: Mapping[str, int], with_caller: bool) -> None:
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        self.bin.mkdir()
        for name, program in ON_HOST.items():
            (self.bin / name).symlink_to(programs[program])
        # The kernel ends every process of a PID namespace with its first, which ends with unshare.
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
            settings = Settings(str(self.folder), link.cluster, link.host, link.name, paths, dict(nodes))
            assert process.stdin
            with process.stdin as told:
                told.write(settings.to_json() + "\n")
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
        return self.folder / "state.json"

    def _state(self) -> dict[str, str]:
        try:
            state: dict[str, str] = json.loads(self._state_file.read_text())
        except FileNotFoundError:
            return {}
        return state

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One at a time starts or stops it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
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
        for path in (self.kubeconfig, self._state_file, self.folder / STOPPED):
            path.unlink(missing_ok=True)
        for folder in (self.bin, self.folder / "node"):
            shutil.rmtree(folder, ignore_errors=True)


def check_host(real_node: bool = False) -> None:
    """Raises ClusterError when a cluster cannot run here, with what is missing."""
    if sys.platform != "linux":
        raise ClusterError("the cluster needs Linux: it lives in namespaces of its own.")
    needs = NEEDS | NODE_NEEDS if real_node else NEEDS
    missing = {program: package for program, package in needs.items() if not shutil.which(program)}
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise ClusterError(f"not found in PATH: {', '.join(missing)}. On Debian: apt-get install {packages}.")
    if os.geteuid() != 0:
        raise ClusterError(
            "the cluster needs root, for namespaces and a network link of its own. "
            "Run the same as root, for example with sudo -E."
        )


def _first_child(process: subprocess.Popen[str]) -> int:
    """The process inside the new namespaces."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            for pid in children.read_text().split():
                return int(pid)
        time.sleep(0.01)
    raise ClusterError(f"unshare ended with {process.returncode}: this system allows no namespaces.")


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                found |= {int(child), *_descendants(int(child))}
    return found


def _is_called(pid: int, process: str) -> bool:
    """Whether it is one of the processes that the program ``kube`` holds."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:2] == [process]


def _started(pid: int) -> str:
    """When a process was started, in clock ticks since the boot; "" when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _alive(state: Mapping[str, str]) -> int | None:
    """The pid of a cluster that runs; another process may have got the number since."""
    if state and _started(int(state["pid"])) == state["started"]:
        return int(state["pid"])
    return None


def _await_end(pids: set[int]) -> None:
    while any(_started(pid) for pid in pids):
        time.sleep(0.02)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text().splitlines()[-lines:])
