"""Checks whether all pods can mount their claims, and that these are on the file system in the values."""

from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.catalogue import Catalogue
from mrc_values.cluster import client
from mrc_values.cluster.client import Forbidden
from mrc_values.cluster.objects import Object, at, items, name, text
from mrc_values.cluster.preflight.locks import locks_work
from mrc_values.cluster.preflight.planned import ClusterReader, PlannedRelease, Problem, not_checked
from mrc_values.values import Values

CLAIM = "PersistentVolumeClaim"
_OTHERS = {"ebs.csi.aws.com": "a disk of one node"}


def claims_can_be_mounted(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """Each claim exists, is bound, can be mounted on many nodes, and has the right driver and locks."""
    made = {(text(item, "metadata", "namespace"), name(item)) for item in planned.of_kind(CLAIM)}
    for namespace, claim, file_system in sorted(_used(planned)):
        if (namespace, claim) in made:
            continue  # the release creates it
        setting = setting_of(planned.values, claim, file_system)
        result = reader.cluster.find(client.CLAIMS, claim, namespace)
        if result is None:
            fix = (
                f"Create it (docs/claims.md), or use another one. Existing ones: {_names(reader, namespace)}."
            )
            message = f"the claim {claim} does not exist in the namespace {namespace}."
            yield Problem("MRC110", setting, message, fix)
            continue
        try:
            yield from _claim(result, claim, file_system, setting, reader, planned.values)
        except Forbidden as error:
            yield not_checked(f"the claim {claim} is on {file_system.upper()}", error)


def _used(planned: PlannedRelease) -> set[tuple[str, str, str]]:
    """Namespace, name and file system of each claim that pods mount."""
    result = set()
    for pods in planned.pods:
        mounts = {
            text(mount, "name"): text(mount, "mountPath").strip("/")
            for container in items(pods.spec, "containers")
            for mount in items(container, "volumeMounts")
        }
        for volume in items(pods.spec, "volumes"):
            if claim := text(volume, "persistentVolumeClaim", "claimName"):
                result.add((pods.namespace, claim, mounts.get(text(volume, "name"), "")))
    return result


def setting_of(values: Values, claim: str, file_system: str) -> str:
    """The value that selects a claim: that of the data if the shared file system is another one."""
    if values.get("maskrcnn.data_fs") == file_system != values.get("global.shared_fs"):
        return "maskrcnn.data_pvc" if values.get("maskrcnn.data_pvc") == claim else "maskrcnn.data_fs"
    return "global.shared_pvc" if values.get("global.shared_pvc") == claim else "global.shared_fs"


def _claim(
    claim_object: Object,
    claim: str,
    file_system: str,
    setting: str,
    reader: ClusterReader,
    values: Values,
) -> Iterator[Problem]:
    phase = text(claim_object, "status", "phase")
    if text(claim_object, "metadata", "deletionTimestamp"):
        fix = "Wait until it is gone and create it again (docs/claims.md)."
        yield Problem("MRC111", setting, f"the claim {claim} is being deleted.", fix)
        return
    modes = items(claim_object, "status", "accessModes") or items(claim_object, "spec", "accessModes")
    if "ReadWriteMany" not in modes:
        yield Problem(
            "MRC112",
            setting,
            f"the claim {claim} has the access mode {', '.join(modes) or 'none'}, "
            "but workers on several nodes mount it.",
            "Create a claim with ReadWriteMany (docs/claims.md) and set it here.",
        )
    if phase == "Bound":
        volume = reader.cluster.get(client.VOLUMES, text(claim_object, "spec", "volumeName"))
        yield from _volume(at(volume, "spec"), claim, file_system, setting, values)
        return
    yield from _unbound(claim_object, claim, file_system, setting, phase, reader, values)


def _unbound(
    claim_object: Object,
    claim: str,
    file_system: str,
    setting: str,
    phase: str,
    reader: ClusterReader,
    values: Values,
) -> Iterator[Problem]:
    storage_class = text(claim_object, "spec", "storageClassName")
    made = reader.cluster.find(client.STORAGE_CLASSES, storage_class) if storage_class else None
    if phase == "Pending" and made and made.get("volumeBindingMode") == "WaitForFirstConsumer":
        planned_volume: Object = {
            "csi": {"driver": text(made, "provisioner")},
            "mountOptions": items(made, "mountOptions"),
        }
        yield from _volume(planned_volume, claim, file_system, setting, values)
        message = (
            f"the claim {claim} has no volume yet; its class {storage_class} creates one for the first pod."
        )
        yield Problem("MRC111", setting, message, "A new file system has no data.", Severity.WARNING)
        return
    why = ""
    if storage_class and made is None:
        why = f", and the storage class {storage_class} does not exist"
    elif volume := text(claim_object, "spec", "volumeName"):
        there = reader.cluster.find(client.VOLUMES, volume)
        why = (
            f", although the volume {volume} exists" if there else f", and the volume {volume} does not exist"
        )
    yield Problem(
        "MRC111",
        setting,
        f"the claim {claim} is {phase or 'not bound'}{why}.",
        "See kubectl describe pvc, and docs/claims.md.",
    )


def _volume(volume: Object, claim: str, file_system: str, setting: str, values: Values) -> Iterator[Problem]:
    """``volume`` is the spec of a PersistentVolume."""
    yield from _driver(volume, claim, file_system, setting, values.catalogue)
    # mrc-train locks its run directory; other trainers do not.
    if file_system == values.get("global.shared_fs") and not values.text("maskrcnn.train_script"):
        yield from locks_work(volume, claim, setting)


def _driver(
    volume: Object, claim: str, file_system: str, setting: str, catalogue: Catalogue
) -> Iterator[Problem]:
    """``volume`` is the spec of a PersistentVolume."""
    row = catalogue.file_systems.get(file_system)
    wanted = row.driver if row else ""
    driver = text(volume, "csi", "driver")
    if not wanted or driver == wanted:
        return
    server = text(volume, "nfs", "server")
    if not driver and file_system == "efs" and ".efs." in server:
        return
    known = {**{row.driver: row.title for row in catalogue.file_systems.values()}, **_OTHERS}
    is_known = driver in known
    what = (
        f"{driver} ({known[driver]})"
        if is_known
        else driver or (f"NFS at {server}" if server else "no driver")
    )
    message = f"the volume of the claim {claim} belongs to {what}, but it is mounted as /{file_system}."
    if is_known:
        yield Problem("MRC113", setting, message, f"Use a claim whose volume belongs to {wanted}.")
    else:
        fix = f"The charts are made for claims of {wanted}; this one may work as well."
        yield Problem("MRC113", setting, message, fix, Severity.WARNING)


def _names(reader: ClusterReader, namespace: str) -> str:
    names = [text(item, "metadata", "name") for item in reader.cluster.list(client.CLAIMS, namespace)]
    return ", ".join(names) or "none"
