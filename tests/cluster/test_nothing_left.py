"""However a cluster is stopped, it leaves the machine unchanged."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from leftovers import NAMESPACES, Footprint, Host, footprint, output, processes
from testcluster.client import Client, until
from testcluster.cluster import Cluster

NODES = {"cpu": 1}
UP_AND_STAY = """
import sys, time
from pathlib import Path
from testcluster.cluster import Cluster
Cluster(Path(sys.argv[1])).up({"cpu": 1}, with_caller=True)
print("up", flush=True)
time.sleep(600)
"""


def start(directory: Path) -> tuple[Cluster, Footprint]:
    before = Host.now()
    cluster = Cluster(directory)
    assert cluster.up(NODES)
    used = footprint(cluster, before)
    assert len(used.namespaces) == len(NAMESPACES), "otherwise the tests would look for nothing"
    assert len(used.left()) > 5
    return cluster, used


def pid_of(directory: Path, words: str) -> int:
    return next(process.pid for process in processes() if words in process.command and process.has(directory))


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cluster"
    Cluster(tmp_path / "cluster").down()


def test_down_removes_everything_but_the_logs(directory: Path) -> None:
    cluster, used = start(directory)
    cluster.down()
    assert used.left() == set()
    assert {path.name for path in directory.iterdir()} == {"lock", "logs"}


@pytest.mark.parametrize("victim", ["unshare", "testcluster.supervisor", "kube-apiserver"])
def test_killing_any_of_its_processes_ends_all_of_them(directory: Path, victim: str) -> None:
    cluster, used = start(directory)
    os.kill(pid_of(directory, victim), signal.SIGKILL)
    until(lambda: used.left() == set(), "nothing to be left")
    cluster.down()
    assert {path.name for path in directory.iterdir()} == {"lock", "logs"}


def test_the_tests_cluster_ends_when_the_tests_are_killed(directory: Path) -> None:
    before = Host.now()
    tests = subprocess.Popen(
        [sys.executable, "-c", UP_AND_STAY, str(directory)],
        stdout=subprocess.PIPE,
    )
    assert tests.stdout
    with tests.stdout as output_of_tests:
        assert output_of_tests.readline() == b"up\n"
    used = footprint(Cluster(directory), before)
    tests.kill()
    tests.wait()
    until(lambda: used.left() == set(), "nothing to be left")


def test_deleting_its_directory_ends_a_cluster(directory: Path) -> None:
    _, used = start(directory)
    shutil.rmtree(directory)
    until(lambda: used.left() == set(), "nothing to be left")


def test_a_cluster_can_be_started_again_after_it_was_killed(directory: Path) -> None:
    cluster, _ = start(directory)
    os.kill(pid_of(directory, "unshare"), signal.SIGKILL)
    until(lambda: not cluster.running, "the end of the cluster")
    assert cluster.up(NODES)
    assert Client(cluster, "default").names("node") == {"node/cpu-0"}


def test_two_run_side_by_side_and_a_second_start_changes_nothing(cluster: Cluster, directory: Path) -> None:
    other, _ = start(directory)
    user = Client(other, "default")
    user.kubectl("create", "namespace", "mine")
    assert not other.up(NODES)
    assert "namespace/mine" in user.names("namespace")
    assert "namespace/mine" not in Client(cluster, "default").names("namespace")


def test_no_process_of_a_cluster_listens_on_an_address_of_the_host(cluster: Cluster) -> None:
    inside = {process.pid for process in processes() if process.has(cluster.directory)}
    listening = output("ss", "--listening", "--tcp", "--udp", "--numeric", "--processes")
    assert not [pid for pid in inside if f"pid={pid}," in listening]


def test_only_its_owner_can_read_the_kubeconfig(cluster: Cluster) -> None:
    assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600
