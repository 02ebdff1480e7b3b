"""What a cluster needs before a job can run: the operator, and claims on a volume."""

import json
import subprocess
from pathlib import Path
from typing import Any

from testcluster.cluster import Cluster
from testcluster.errors import ClusterError

CHARTS = Path(__file__).parents[3] / "charts"
CLAIMS = {"efs": "tensorpack-efs-gp-bursting", "fsx": "tensorpack-fsx"}
"""The charts' default claim of each file system."""


def install_mpijob(cluster: Cluster) -> None:
    """Installs the chart mpijob with Helm 4 and waits for the operator. Raises ClusterError."""
    helm = [cluster.bin / "helm", "upgrade", "--install", "mpijob", CHARTS / "mpijob"]
    _run([*helm, "--wait", "--timeout=120s"], cluster)


def make_claims(cluster: Cluster, namespace: str) -> None:
    """Claims for both file systems in a namespace that exists, each on a volume of its own."""
    items = [item for fs in CLAIMS for item in volume_and_claim(fs, namespace)]
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    _run([cluster.bin / "kubectl", "apply", "--filename=-"], cluster, body)


def volume_and_claim(fs: str, namespace: str) -> list[dict[str, Any]]:
    """A volume that only its claim gets. Nothing is mounted on a simulated node."""
    claim = CLAIMS[fs]
    common = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
    }
    size = {"storage": "100Gi"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{fs}"},
        "spec": common
        | {
            "capacity": size,
            "claimRef": {"namespace": namespace, "name": claim},
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": f"/{fs}"},
        },
    }
    return [
        volume,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace},
            "spec": common | {"resources": {"requests": size}, "volumeName": f"{namespace}-{fs}"},
        },
    ]


def _run(argv: list[str | Path], cluster: Cluster, stdin: str | None = None) -> None:
    words = [str(word) for word in argv]
    done = subprocess.run(words, env=cluster.environment, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(words)} failed: {done.stderr.strip()}")
