"""A cluster comes and goes, however it is ended, and leaves the machine as it was."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from testcluster.client import Client, until
from testcluster.cluster import Cluster

NODES = {"cpu": 1}
NAMESPACES = ("pid", "net", "mnt", "uts")
KERNEL = ("vm", "kernel/panic", "kernel/panic_on_oops", "kernel/keys", "net/ipv4/ip_forward", "net/netfilter")
"""Settings that parts of Kubernetes write, below /proc/sys."""

UP_AND_STAY = """
import sys, time
from pathlib import Path
from testcluster.cluster import Cluster
Cluster(Path(sys.argv[1])).up({"cpu": 1}, with_caller=True)
print("up", flush=True)
time.sleep(600)
"""


@dataclass(frozen=True)
class Traces:
    """What a running cluster could leave behind; ``left`` is what of it is there."""

    folder: Path
    link: str
    namespaces: set[str]
    kernel: dict[str, str]
    mounts_on_run: int

    def left(self) -> set[str]:
        """The processes, namespaces, links, mounts, rules and settings that are still there."""
        found = {f"process {process.command}" for process in processes() if process.has(self.folder)}
        found |= {f"namespace of {each.command}" for each in processes() if each.namespaces & self.namespaces}
        network = output("ip", "link") + output("ip", "addr") + output("ip", "route") + firewall()
        found |= {self.link} if self.link in network else set()
        mounts = Path("/proc/self/mounts").read_text()
        if str(self.folder) in mounts or mounts.count(" /run ") != self.mounts_on_run:
            found.add("mount")
        return found | {name for name, value in kernel().items() if self.kernel.get(name, value) != value}


@dataclass(frozen=True)
class Process:
    """A process of whatever namespace."""

    pid: int
    command: str
    environment: str
    files: frozenset[str]
    namespaces: frozenset[str]

    def has(self, folder: Path) -> bool:
        """Whether it was started for the folder, or has a file of it open."""
        known = [self.command, self.environment]
        return any(str(folder) in text for text in known) or any(str(folder) in file for file in self.files)


def processes() -> Iterator[Process]:
    """All but this one."""
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
    """The kernel's settings that parts of Kubernetes write."""
    found = {}
    for name in KERNEL:
        top = Path("/proc/sys", name)
        for path in [top, *top.rglob("*")]:
            if path.is_file() and path.stat().st_mode & 0o222 and path.stat().st_mode & 0o444:
                found[str(path)] = path.read_text()
    return found


def firewall() -> str:
    return output("iptables-save") if shutil.which("iptables-save") else ""


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def traces(cluster: Cluster, before: dict[str, str]) -> Traces:
    """What a cluster that runs has; ``before`` are the kernel's settings of before."""
    mine = frozenset(str(Path("/proc/self/ns", kind).readlink()) for kind in NAMESPACES)
    inside = [process for process in processes() if process.has(cluster.folder)]
    assert {"etcd", "kube-apiserver", "kwok"} <= {log.stem for log in cluster.logs.iterdir()}
    return Traces(
        cluster.folder,
        json.loads((cluster.folder / "state.json").read_text())["link"],
        set().union(*(process.namespaces for process in inside)) - mine,
        before,
        Path("/proc/self/mounts").read_text().count(" /run "),
    )


def start(folder: Path) -> tuple[Cluster, Traces]:
    before = kernel()
    cluster = Cluster(folder)
    assert cluster.up(NODES)
    found = traces(cluster, before)
    assert len(found.namespaces) == len(NAMESPACES), "else the tests would look for nothing"
    assert len(found.left()) > 5
    return cluster, found


def pid_of(folder: Path, words: str) -> int:
    return next(each.pid for each in processes() if words in each.command and each.has(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cluster"
    Cluster(tmp_path / "cluster").down()


def test_down_leaves_nothing_but_logs(folder: Path) -> None:
    cluster, found = start(folder)
    cluster.down()
    assert found.left() == set()
    assert {path.name for path in folder.iterdir()} == {"lock", "logs"}


@pytest.mark.parametrize("victim", ["unshare", "testcluster.supervisor", "kube-apiserver"])
def test_killing_any_of_its_processes_ends_all_of_them(folder: Path, victim: str) -> None:
    cluster, found = start(folder)
    os.kill(pid_of(folder, victim), signal.SIGKILL)
    until(lambda: found.left() == set(), "nothing to be left")
    cluster.down()
    assert {path.name for path in folder.iterdir()} == {"lock", "logs"}


def test_a_cluster_of_the_tests_ends_with_them_when_they_are_killed(folder: Path) -> None:
    before = kernel()
    tests = subprocess.Popen(
        [sys.executable, "-c", UP_AND_STAY, str(folder)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )
    assert tests.stdout
    with tests.stdout as told:
        assert told.readline() == b"up\n"
    found = traces(Cluster(folder), before)
    tests.kill()
    tests.wait()
    until(lambda: found.left() == set(), "nothing to be left")


def test_deleting_its_folder_ends_a_cluster(folder: Path) -> None:
    _, found = start(folder)
    shutil.rmtree(folder)
    until(lambda: found.left() == set(), "nothing to be left")


def test_it_comes_up_again_after_it_was_killed(folder: Path) -> None:
    cluster, _ = start(folder)
    os.kill(pid_of(folder, "unshare"), signal.SIGKILL)
    until(lambda: not cluster.running, "the end of the cluster")
    assert cluster.up(NODES)
    assert Client(cluster, "default").names("node") == {"node/cpu-0"}


def test_two_run_side_by_side_and_a_second_start_changes_nothing(cluster: Cluster, folder: Path) -> None:
    other, _ = start(folder)
    user = Client(other, "default")
    user.kubectl("create", "namespace", "mine")
    assert not other.up(NODES)
    assert "namespace/mine" in user.names("namespace")
    assert "namespace/mine" not in Client(cluster, "default").names("namespace")


def test_nothing_of_it_listens_on_an_address_of_the_host(cluster: Cluster) -> None:
    inside = {process.pid for process in processes() if process.has(cluster.folder)}
    listening = output("ss", "--listening", "--tcp", "--udp", "--numeric", "--processes")
    assert not [pid for pid in inside if f"pid={pid}," in listening]


def test_only_its_owner_can_read_the_kubeconfig(cluster: Cluster) -> None:
    assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600
