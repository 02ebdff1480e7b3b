"""Simulated nodes: kwok reports their status as a kubelet would, and simulates their pods."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from testcluster.control_plane import ControlPlane
from testcluster.errors import ClusterError
from testcluster.processes import Processes

CATALOGUE = Path(__file__).parents[2] / "charts" / "common" / "files" / "node-groups.yaml"
STAGES = Path(__file__).with_name("stages.yaml")
KWOK_NODE = {"kwok.x-k8s.io/node": "fake"}

CPU_NODES = {
    "instance_type": "m5.2xlarge",
    "gpus": 0,
    "vcpus": 8,
    "memory_gib": 32,
    "allocatable": {"cpu_millis": 7910, "memory_mib": 29317, "pods": 58},
    "efa": 0,
    "labels": {"node.kubernetes.io/instance-type": "m5.2xlarge"},
    "taints": [],
}
"""A row like those of the catalogue, for pods that need no GPU."""

KUBELET_PORT = 10247
"""Port on which kwok serves the kubelet API of all simulated nodes."""

ANSWERS = {"Logs": "logs", "PortForward": "portforwards"}
"""Kinds, named after a pod, that define its logs (lines of a file) and port forwards (an address) in kwok."""

DEFAULT = {"cpu": 2, "p3": 4, "p3dn": 4, "p4d": 4, "g5": 4}
"""Number of nodes in each group."""


def groups() -> dict[str, Any]:
    """Returns the rows of the catalogue by name, and ``cpu``."""
    return {"cpu": CPU_NODES, **yaml.safe_load(CATALOGUE.read_text())}


def parse_counts(text: str) -> dict[str, int]:
    """Parses ``"p4d=1000 g5=0"``; groups that are not named have their default. Raises ClusterError."""
    counts = dict(DEFAULT)
    for word in text.split():
        name, _, number = word.partition("=")
        if name not in groups() or not number.isdigit():
            raise ClusterError(
                f"NODES: {word} is not GROUP=NUMBER. Groups: {', '.join(groups())}. "
                'For example NODES="p4d=1000 g5=0".'
            )
        counts[name] = int(number)
    return counts


def node(group: str, number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the Node object of a catalogue row, with labels, taints, capacity and allocatable resources."""
    name = f"{group}-{number}"
    devices = {"nvidia.com/gpu": str(row["gpus"]), "vpc.amazonaws.com/efa": str(row["efa"])}
    both = {device: count for device, count in devices.items() if count != "0"}
    both |= {"pods": str(row["allocatable"]["pods"]), "ephemeral-storage": "100Gi"}
    left = row["allocatable"]
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels | row["labels"], "annotations": KWOK_NODE},
        "spec": {"taints": row["taints"]},
        "status": {
            "capacity": both | {"cpu": str(row["vcpus"]), "memory": f"{row['memory_gib']}Gi"},
            "allocatable": both | {"cpu": f"{left['cpu_millis']}m", "memory": f"{left['memory_mib']}Mi"},
        },
    }


def start(processes: Processes, kwok: Path, plane: ControlPlane, counts: Mapping[str, int]) -> None:
    """Starts kwok, creates the nodes and waits until they are ready."""
    for kind, plural in ANSWERS.items():
        _define(plane, kind, plural)
    selector = ",".join(f"{name}={value}" for name, value in KWOK_NODE.items())
    processes.start(
        "kwok",
        [
            kwok,
            f"--kubeconfig={plane.kubeconfig('admin')}",
            f"--config={STAGES}",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-annotation-selector={selector}",
            "--node-ip=127.0.0.1",
            "--cidr=10.0.0.1/16",
            "--node-lease-duration-seconds=40",
            f"--server-address=127.0.0.1:{KUBELET_PORT}",
            f"--node-port={KUBELET_PORT}",
            f"--enable-crds={','.join(ANSWERS)}",
        ],
    )
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: plane.api.create("/api/v1/nodes", body), _all(counts)))
    processes.wait(f"{sum(counts.values())} nodes", lambda: _ready(plane), seconds=300)


def _define(plane: ControlPlane, kind: str, plural: str) -> None:
    """Creates the CRD of a kind in kwok's API group, without a schema."""
    group = "kwok.x-k8s.io"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": anything},
    }
    plane.api.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {
                    "kind": kind,
                    "listKind": f"{kind}List",
                    "plural": plural,
                    "singular": kind.lower(),
                },
                "versions": [version],
            },
        },
    )


def _all(counts: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    rows = groups()
    for group, count in counts.items():
        yield from (node(group, number, rows[group]) for number in range(count))


def _ready(plane: ControlPlane) -> bool:
    """Whether every node is ready and no longer has the taint of a new node."""
    for item in plane.api.get("/api/v1/nodes")["items"]:
        conditions = {
            condition["type"]: condition["status"] for condition in item["status"].get("conditions", [])
        }
        taints = [taint["key"] for taint in item["spec"].get("taints", [])]
        if conditions.get("Ready") != "True" or "node.kubernetes.io/not-ready" in taints:
            return False
    return True
