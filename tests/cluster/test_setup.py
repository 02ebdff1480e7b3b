"""What the test cluster says when it cannot start, and the nodes that it simulates."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from testcluster.client import Client
from testcluster.cluster import Cluster
from testcluster.errors import ClusterError
from testcluster.nodes import DEFAULT, groups, parse_counts
from testcluster.programs import build

UP = [sys.executable, "-m", "testcluster", "up", "control-plane"]


def up(*prefix: str, path: str = os.environ["PATH"]) -> str:
    """What ``up`` says on stderr when it fails."""
    environment = os.environ | {"PATH": path}
    done = subprocess.run([*prefix, *UP], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    return done.stderr


def test_who_is_not_root_is_told_so() -> None:
    # In a user namespace of its own a process is nobody, whoever started it.
    assert up("unshare", "--user").startswith("error: the cluster needs root")


def test_missing_system_programs_are_named_with_their_packages() -> None:
    said = up(path="/nonexistent")
    assert "not found in PATH: unshare, setpriv, mount, ip, openssl" in said
    assert "apt-get install iproute2 mount openssl util-linux" in said


def test_a_missing_go_is_named_with_the_version_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ClusterError, match=r"go is not installed.*Install Go 1[.]\d+"):
        build("kwok")


def test_numbers_of_nodes_are_the_usual_ones_where_not_given() -> None:
    assert parse_counts("p4d=1000 g5=0") == DEFAULT | {"p4d": 1000, "g5": 0}


@pytest.mark.parametrize("text", ["p4=3", "p4d", "p4d=many", "p4d=-1"])
def test_a_wrong_number_of_nodes_is_named_with_what_is_possible(text: str) -> None:
    with pytest.raises(ClusterError, match=f"NODES: {text} is not GROUP=NUMBER. Groups: cpu, p3, .*p4d"):
        parse_counts(text)


@pytest.mark.parametrize("group", [group for group in DEFAULT if group != "cpu"])
def test_simulated_nodes_are_those_of_the_catalogue(cluster: Cluster, group: str) -> None:
    row = groups()[group]
    node = Client(cluster, "default").get("node", f"{group}-0")
    has = node["status"]["allocatable"]
    assert has["nvidia.com/gpu"] == str(row["gpus"])
    assert has.get("vpc.amazonaws.com/efa", "0") == str(row["efa"])
    assert has["memory"] == f"{row['allocatable']['memory_mib']}Mi"
    assert node["metadata"]["labels"].items() >= row["labels"].items()
    assert node["spec"]["taints"] == row["taints"]
