"""Which file systems a namespace can use, by its claims."""

from mrc_values.cluster import client, staging
from mrc_values.cluster.client import Cluster
from mrc_values.cluster.job import State
from mrc_values.cluster.objects import items, name, text
from mrc_values.planning import FileSystems
from mrc_values.values import Values


def choose(cluster: Cluster, namespace: str, values: Values) -> tuple[FileSystems, list[str]]:
    """FSx for the data if its claim can be used, otherwise EFS, unless stage-data has staged onto only one of
    them; EFS for logs and checkpoints if possible.

    Also returns lines that explain the choice to the user.
    """
    rows = values.catalogue.file_systems
    unusable = {
        fs: _unusable(cluster, namespace, claim_of(fs, values), rows[fs].driver) for fs in ("fsx", "efs")
    }
    message = [
        f"{rows[fs].title}: the claim {namespace}/{claim_of(fs, values)} {why or 'is bound'}."
        for fs, why in unusable.items()
    ]
    data = "efs" if unusable["fsx"] else "fsx"
    shared = "fsx" if unusable["efs"] and not unusable["fsx"] else "efs"
    staged = _staged(cluster, namespace, values)
    if usable := [fs for fs in unusable if fs in staged and not unusable[fs]]:
        data = data if data in usable else usable[0]
        return FileSystems(data, shared), [
            *message,
            f"The data is read from {rows[data].title}: {staged[data]}",
        ]
    if data == "fsx":
        reason = "The data is read from FSx, which is made for that."
    elif not unusable["efs"]:
        reason = "The data is read from EFS, as FSx cannot be used."
    else:
        reason = "Neither can be used. EFS is the charts' default; docs/claims.md says how to make its claim."
    return FileSystems(data, shared), [
        *message,
        f"{reason} Whether it contains the data set can only be checked from inside a pod.",
    ]


def _staged(cluster: Cluster, namespace: str, values: Values) -> dict[str, str]:
    """File systems that a job has staged onto, each with a sentence about it."""
    try:
        jobs = staging.jobs(cluster, namespace)
    except client.Forbidden:
        return {}
    result: dict[str, str] = {}
    for job in sorted(jobs, key=lambda item: text(item, "metadata", "creationTimestamp")):
        if staging.state(job) is State.FINISHED:
            fs = staging.directory(job).strip("/").partition("/")[0]
            if staging.claim(job) == claim_of(fs, values):
                result[fs] = (
                    f"the job {name(job)} has staged {staging.source(job)} into {staging.directory(job)}."
                )
    return result


def claim_of(file_system: str, values: Values) -> str:
    """The claim for a file system according to the values."""
    shared = values.text("global.shared_fs")
    if file_system == shared and values.text("global.shared_pvc"):
        return values.text("global.shared_pvc")
    if file_system == values.text("maskrcnn.data_fs") and values.text("maskrcnn.data_pvc"):
        return values.text("maskrcnn.data_pvc")
    return values.catalogue.claim(file_system)


def _unusable(cluster: Cluster, namespace: str, claim: str, driver: str) -> str:
    """Why a claim cannot be used, or an empty string."""
    result = cluster.find(client.CLAIMS, claim, namespace)
    if result is None:
        return "does not exist"
    phase = text(result, "status", "phase")
    if phase != "Bound":
        return f"is {phase or 'not bound'}"
    if "ReadWriteMany" not in items(result, "spec", "accessModes"):
        return "is not ReadWriteMany"
    try:
        volume = cluster.find(client.VOLUMES, text(result, "spec", "volumeName"))
    except client.Forbidden:
        return ""
    actual = text(volume, "spec", "csi", "driver")
    return f"has a volume of {actual}" if actual and actual != driver else ""
