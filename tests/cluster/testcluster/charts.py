"""What a cluster needs before a job can run: the operator, and claims."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from testcluster.cluster import Cluster
from testcluster.errors import ClusterError

CHARTS = Path(__file__).parents[3] / "charts"
CLAIMS = CHARTS / "maskrcnn" / "examples" / "claims"


def install_mpijob(cluster: Cluster) -> None:
    """Installs or upgrades the chart mpijob as it is and waits for the operator. Raises ClusterError."""
    install = ["upgrade", "--install", "mpijob", str(CHARTS / "mpijob"), "--reset-values"]
    _run(cluster, "helm", *install, "--wait", "--timeout=120s")


def make_claims(cluster: Cluster, namespace: str) -> None:
    """The charts' documented claims on EFS and FSx, in a namespace that exists.

    Nothing is mounted on a simulated node. On a real one a folder takes the place of each file system, the
    same for all namespaces.
    """
    items = [item for file in sorted(CLAIMS.glob("*.yaml")) for item in yaml.safe_load_all(file.read_text())]
    volumes = {item["metadata"]["name"]: item for item in items if item["kind"] == "PersistentVolume"}
    for item in items:
        if item["kind"] == "PersistentVolumeClaim":
            volume = volumes[item["spec"]["volumeName"]]
            item["metadata"]["namespace"] = volume["spec"]["claimRef"]["namespace"] = namespace
            item["spec"]["volumeName"] = volume["metadata"]["name"] = (
                f"{namespace}-{item['metadata']['name']}"
            )
    drivers = [_driver(volume["spec"]["csi"]["driver"]) for volume in volumes.values()]
    if cluster.has_real_node:
        for volume in volumes.values():
            _use_folder(volume["spec"], cluster.volumes)
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*drivers, *items]})
    _run(cluster, "kubectl", "apply", "--filename=-", stdin=body)
    bound = ["pvc", "--all", f"--namespace={namespace}", "--for=jsonpath={.status.phase}=Bound"]
    _run(cluster, "kubectl", "wait", *bound, "--timeout=60s")


def _use_folder(volume: dict[str, Any], folders: Path) -> None:
    """Makes the spec of a volume on ``efs.csi.aws.com`` one of the folder ``efs``."""
    file_system = volume.pop("csi")["driver"].partition(".")[0]
    volume.pop("mountOptions", None)
    volume["hostPath"] = {"path": str(folders / file_system), "type": "DirectoryOrCreate"}


def _driver(name: str) -> dict[str, Any]:
    """What the driver's own installation says of it: its volumes are not attached to nodes."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": name},
        "spec": {"attachRequired": False},
    }


def _run(cluster: Cluster, program: str, *arguments: str, stdin: str | None = None) -> None:
    argv = [str(cluster.bin / program), *arguments]
    done = subprocess.run(argv, env=cluster.environment, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(argv)} failed: {done.stderr.strip()}")
