"""Which file systems a namespace has: by its claims, as far as they tell."""

from mrc_values.cluster import client
from mrc_values.cluster.client import Cluster
from mrc_values.cluster.objects import items, text
from mrc_values.planning import FileSystems
from mrc_values.values import Values


def choose(cluster: Cluster, namespace: str, values: Values) -> tuple[FileSystems, list[str]]:
    """FSx for the data when its claim can be used, else EFS; logs and checkpoints on EFS when they can be.

    Also what was seen, for the user: a claim does not tell what lies on its file system.
    """
    rows = values.catalogue.file_systems
    seen = {fs: _unusable(cluster, namespace, claim_of(fs, values), rows[fs].driver) for fs in ("fsx", "efs")}
    said = [
        f"{rows[fs].title}: the claim {namespace}/{claim_of(fs, values)} {why or 'is bound'}."
        for fs, why in seen.items()
    ]
    data = "efs" if seen["fsx"] else "fsx"
    shared = "fsx" if seen["efs"] and not seen["fsx"] else "efs"
    if data == "fsx":
        reason = "The data is read from FSx, which is made for that."
    elif not seen["efs"]:
        reason = "The data is read from EFS, as FSx cannot be used."
    else:
        reason = "Neither can be used. EFS is the charts' default; docs/claims.md says how to make its claim."
    return FileSystems(data, shared), [
        *said,
        f"{reason} Whether the data set lies there cannot be seen from outside of a pod.",
    ]


def claim_of(file_system: str, values: Values) -> str:
    """The claim that the values have for a file system."""
    shared = values.text("global.shared_fs")
    if file_system == shared and values.text("global.shared_pvc"):
        return values.text("global.shared_pvc")
    if file_system == values.text("maskrcnn.data_fs") and values.text("maskrcnn.data_pvc"):
        return values.text("maskrcnn.data_pvc")
    return values.catalogue.claim(file_system)


def _unusable(cluster: Cluster, namespace: str, claim: str, driver: str) -> str:
    """Why a claim cannot be used; empty when it can."""
    found = cluster.find(client.CLAIMS, claim, namespace)
    if found is None:
        return "is not there"
    phase = text(found, "status", "phase")
    if phase != "Bound":
        return f"is {phase or 'not bound'}"
    if "ReadWriteMany" not in items(found, "spec", "accessModes"):
        return "is not ReadWriteMany"
    try:
        volume = cluster.find(client.VOLUMES, text(found, "spec", "volumeName"))
    except client.Forbidden:
        return ""
    actual = text(volume, "spec", "csi", "driver")
    return f"has a volume of {actual}" if actual and actual != driver else ""
