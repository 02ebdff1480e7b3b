"""What a cluster uses of its machine, and what of that is left after it has stopped."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testcluster.cluster import Cluster

NAMESPACES = ("pid", "net", "mnt", "uts")
KERNEL = ("vm", "kernel/panic", "kernel/panic_on_oops", "kernel/keys", "net/ipv4/ip_forward", "net/netfilter")
"""Settings that components of Kubernetes write, below /proc/sys."""


@dataclass(frozen=True)
class Footprint:
    """Everything that a running cluster uses and could leave behind."""

    directory: Path
    link: str
    namespaces: set[str]
    before: "Host"

    def left(self) -> set[str]:
        """Returns the processes, namespaces, links, mounts, firewall rules and settings that still exist."""
        remaining = {f"process {process.command}" for process in processes() if process.has(self.directory)}
        remaining |= {
            f"namespace of {process.command}"
            for process in processes()
            if process.namespaces & self.namespaces
        }
        network = output("ip", "link") + output("ip", "addr") + output("ip", "route")
        remaining |= {self.link} if self.link in network else set()
        remaining |= {str(group) for group in Path("/sys/fs/cgroup").glob(f"**/{self.link}")}
        now = Host.now()
        remaining |= {
            f"mount: {mount}" for mount in now.mounts - self.before.mounts if self._may_be_mine(mount)
        }
        remaining |= {f"firewall: {rule}" for rule in now.firewall - self.before.firewall}
        kernel = self.before.kernel
        return remaining | {name for name, value in now.kernel.items() if kernel.get(name, value) != value}

    def _may_be_mine(self, mount: str) -> bool:
        """Whether a cluster makes mounts like this. Other programs may mount something at the same time."""
        return any(
            part in mount for part in (str(self.directory), " /run", " /proc/", "containerd", "kubelet")
        )


@dataclass(frozen=True)
class Host:
    """The parts of a machine that a cluster could change: mounts, firewall rules, kernel settings by file."""

    mounts: frozenset[str]
    firewall: frozenset[str]
    kernel: dict[str, str]

    @staticmethod
    def now() -> "Host":
        """Returns the current state."""
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        return Host(frozenset(mounts), frozenset(firewall()), kernel())


@dataclass(frozen=True)
class Process:
    """A process in any namespace."""

    pid: int
    command: str
    environment: str
    files: frozenset[str]
    namespaces: frozenset[str]

    def has(self, directory: Path) -> bool:
        """Whether the directory is in its command or environment, or it has a file of it open."""
        known = [self.command, self.environment]
        return any(str(directory) in text for text in known) or any(
            str(directory) in file for file in self.files
        )


def processes() -> Iterator[Process]:
    """Returns all processes except this one."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                yield Process(
                    int(entry.name),
                    (entry / "cmdline").read_text().replace("\0", " "),
                    (entry / "environ").read_text(errors="replace"),
                    frozenset(str(file.readlink()) for file in (entry / "fd").iterdir()),
                    frozenset(str((entry / "ns" / kind).readlink()) for kind in NAMESPACES),
                )
            except OSError:
                continue


def kernel() -> dict[str, str]:
    """Returns the kernel settings that components of Kubernetes write."""
    values = {}
    for name in KERNEL:
        top = Path("/proc/sys", name)
        for path in [top, *top.rglob("*")]:
            if path.is_file() and path.stat().st_mode & 0o222 and path.stat().st_mode & 0o444:
                values[str(path)] = path.read_text()
    return values


def firewall() -> list[str]:
    """Returns chains and rules without their counters."""
    rules = output("iptables-save") if shutil.which("iptables-save") else ""
    return [line.partition(" [")[0] for line in rules.splitlines() if not line.startswith("#")]


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def footprint(cluster: Cluster, before: Host) -> Footprint:
    """Returns what a running cluster uses; ``before`` is the machine before its start."""
    mine = frozenset(str(Path("/proc/self/ns", kind).readlink()) for kind in NAMESPACES)
    state = json.loads((cluster.directory / "state.json").read_text())
    family = descendants(int(state["pid"]))
    inside = [process for process in processes() if process.pid in family]
    assert {"etcd", "kube-apiserver"} <= {log.stem for log in cluster.logs.iterdir()}
    namespaces = set().union(*(process.namespaces for process in inside)) - mine
    return Footprint(cluster.directory, state["link"], namespaces, before)


def descendants(pid: int) -> set[int]:
    """Returns all descendants of a process."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = {int(child) for file in lists for child in file.read_text().split()}
    return children.union(*(descendants(child) for child in children))
