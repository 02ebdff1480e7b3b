"""Errors of the test cluster when it cannot start, and its simulated nodes."""

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
    """Returns the stderr of ``up``, which fails."""
    environment = os.environ | {"PATH": path}
    done = subprocess.run([*prefix, *UP], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    return done.stderr


def test_a_user_who_is_not_root_gets_an_error() -> None:
    # In a new user namespace, a process of any user runs as nobody.
    assert up("unshare", "--user").startswith("error: the cluster needs root")


def test_missing_system_programs_are_named_with_their_packages() -> None:
    message = up(path="/nonexistent")
    assert "not found in PATH: unshare, setpriv, mount, ip, openssl" in message
    assert "apt-get install iproute2 mount openssl util-linux" in message


def test_a_missing_go_is_named_with_the_version_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ClusterError, match=r"go is not installed.*Install Go 1[.]\d+"):
        build("kwok")


def test_groups_without_a_number_have_their_default_number_of_nodes() -> None:
    assert parse_counts("p4d=1000 g5=0") == DEFAULT | {"p4d": 1000, "g5": 0}


@pytest.mark.parametrize("text", ["p4=3", "p4d", "p4d=many", "p4d=-1"])
def test_an_invalid_number_of_nodes_is_named_with_the_valid_groups(text: str) -> None:
    with pytest.raises(ClusterError, match=f"NODES: {text} is not GROUP=NUMBER. Groups: cpu, p3, .*p4d"):
        parse_counts(text)


@pytest.mark.parametrize("group", [group for group in DEFAULT if group != "cpu"])
def test_simulated_nodes_are_those_of_the_catalogue(cluster: Cluster, group: str) -> None:
    row = groups()[group]
    node = Client(cluster, "default").get("node", f"{group}-0")
    allocatable = node["status"]["allocatable"]
    assert allocatable["nvidia.com/gpu"] == str(row["gpus"])
    assert allocatable.get("vpc.amazonaws.com/efa", "0") == str(row["efa"])
    assert allocatable["memory"] == f"{row['allocatable']['memory_mib']}Mi"
    assert node["metadata"]["labels"].items() >= row["labels"].items()
    assert node["spec"]["taints"] == row["taints"]
