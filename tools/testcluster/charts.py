"""Prepares a cluster for jobs: installs the MPI Operator and creates claims."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from testcluster.cluster import Cluster
from testcluster.errors import ClusterError

CHARTS = Path(__file__).parents[2] / "charts"
CLAIMS = CHARTS / "maskrcnn" / "examples" / "claims"

Object = dict[str, Any]


def install_mpijob(cluster: Cluster) -> None:
    """Installs or upgrades the mpijob chart with its default values, and waits for the operator.

    Raises ClusterError.
    """
    install = ["upgrade", "--install", "mpijob", str(CHARTS / "mpijob"), "--reset-values"]
    _run(cluster, "helm", *install, "--wait", "--timeout=120s")


@contextmanager
def ready_cluster(directory: Path, nodes: Mapping[str, int]) -> Iterator[Cluster]:
    """Starts a cluster with the operator and with claims in the namespace kubeflow; stops it after the block.

    ``nodes``: as for ``Cluster.up``.
    """
    cluster = Cluster(directory)
    cluster.up(nodes, with_caller=True)
    try:
        install_mpijob(cluster)
        make_claims(cluster, "kubeflow")
        yield cluster
    finally:
        cluster.down()


def make_claims(cluster: Cluster, *namespaces: str) -> None:
    """Creates the charts' documented claims on EFS and FSx in these namespaces; waits until they are bound.

    Simulated nodes mount nothing. On a real node, one directory stands in for each file system, shared by all
    namespaces.
    """
    volumes = [item for namespace in namespaces for item in _for("PersistentVolume", namespace)]
    claims = [item for namespace in namespaces for item in _for("PersistentVolumeClaim", namespace)]
    drivers = [_driver(name) for name in sorted({volume["spec"]["csi"]["driver"] for volume in volumes})]
    if cluster.has_real_node:
        for volume in volumes:
            _use_directory(volume["spec"], cluster.volumes)
    _kubectl(cluster, [*drivers, *volumes, *claims], "apply")
    _kubectl(cluster, claims, "wait", "--for=jsonpath={.status.phase}=Bound", "--timeout=60s")


def _for(kind: str, namespace: str) -> list[Object]:
    """Returns the documented objects of a kind, for another namespace.

    A volume is named after the namespace and its claim.
    """
    items = (item for file in sorted(CLAIMS.glob("*.yaml")) for item in yaml.safe_load_all(file.read_text()))
    selected = [item for item in items if item["kind"] == kind]
    for item in selected:
        if kind == "PersistentVolumeClaim":
            item["metadata"]["namespace"] = namespace
            item["spec"]["volumeName"] = f"{namespace}-{item['metadata']['name']}"
        else:
            item["spec"]["claimRef"]["namespace"] = namespace
            item["metadata"]["name"] = f"{namespace}-{item['spec']['claimRef']['name']}"
    return selected


def _use_directory(volume: Object, directories: Path) -> None:
    """Replaces the CSI driver in a volume's spec: ``efs.csi.aws.com`` becomes the directory ``efs``."""
    file_system = volume.pop("csi")["driver"].partition(".")[0]
    volume.pop("mountOptions", None)
    volume["hostPath"] = {"path": str(directories / file_system), "type": "DirectoryOrCreate"}


def _driver(name: str) -> Object:
    """Returns the CSIDriver object that a driver's installation creates: its volumes need no attachment."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": name},
        "spec": {"attachRequired": False},
    }


def _kubectl(cluster: Cluster, items: list[Object], *arguments: str) -> None:
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    _run(cluster, "kubectl", *arguments, "--filename=-", stdin=body)


def _run(cluster: Cluster, program: str, *arguments: str, stdin: str | None = None) -> None:
    argv = [str(cluster.bin / program), *arguments]
    done = subprocess.run(argv, env=cluster.environment, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(argv)} failed: {done.stderr.strip()}")
