"""The plan for a cluster that Terraform built: its node group, file systems, images and claims."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mrc_cli.errors import UsageError, UserError

from mrc_values.catalogue import Catalogue, NodeGroup
from mrc_values.planning import FileSystems, PlannedValue
from mrc_values.terraform_outputs import Built, BuiltFsx, BuiltNodeGroup
from mrc_values.values import Values

EFS_SIZE = "5Gi"
"""EFS grows as it is filled; Kubernetes only wants the same number in volume and claim."""


def node_group(built: Built, wanted: str | None, catalogue: Catalogue) -> tuple[BuiltNodeGroup, NodeGroup]:
    """The node group to train on, and its row in the chart's catalogue.

    ``wanted`` is its name or its row; without it, the one called ``training``, or the only one.

    Raises:
        UsageError: when the node group is not found, or not the only one.
        UserError: when the chart's catalogue does not describe it.
    """
    groups = list(built.node_groups.values())
    if not groups:
        raise UserError(
            "--from-terraform: no node groups. Add the directory of aws-eks-nodegroup with a second "
            "--from-terraform."
        )
    candidates = [group for group in groups if wanted in (group.name, group.row)] if wanted else groups
    candidates = [
        group for group in candidates if group.name in (wanted or "training", "training")
    ] or candidates
    if len(candidates) != 1:
        available = ", ".join(f"{group.name} ({group.row})" for group in groups)
        problem = f"--node-group {wanted}: not one of" if wanted else "--node-group: choose one of"
        raise UsageError(f"{problem} the node groups of {built.cluster}: {available}.")
    row = catalogue.node_groups.get(candidates[0].row)
    if row is None or row.instance_type != candidates[0].instance_type:
        has = f"has {row.instance_type}" if row else "has no such row"
        raise UserError(
            f"{candidates[0].name}: Terraform built {candidates[0].instance_type} for {candidates[0].row}, "
            f"but the chart {has}. Use chart and Terraform of one release."
        )
    return candidates[0], row


def file_systems(built: Built, wanted: str | None, values: Values) -> FileSystems:
    """The file systems to use: for the data set ``wanted``, else FSx if there is one.

    Raises:
        UserError: when Terraform built no such file system.
    """
    available = [name for name, there in (("efs", built.efs), ("fsx", built.fsx)) if there]
    if not available:
        raise UserError(
            "--from-terraform: no file systems. Add the directory of aws-eks-cluster with a second "
            "--from-terraform."
        )
    if wanted and wanted not in available:
        raise UserError(f"--fs {wanted}: Terraform built {' and '.join(available)} only.")
    shared = values.text("global.shared_fs")
    return FileSystems(data=wanted or available[-1], shared=shared if shared in available else available[0])


def check_fit(built: Built, group: BuiltNodeGroup, nodes: int, used: FileSystems) -> None:
    """Raises UserError if the plan does not fit what was built."""
    if nodes > group.max_size:
        raise UserError(
            f"--nodes {nodes}: node group {group.name} has at most {group.max_size}. Use fewer nodes, or "
            "raise its max_size in Terraform."
        )
    fsx = built.fsx
    if fsx and "fsx" in (used.data, used.shared) and fsx.subnet_id not in group.subnet_ids:
        raise UserError(
            f"{fsx.id}: FSx is in {fsx.subnet_id}, but the nodes of {group.name} in "
            f"{', '.join(group.subnet_ids)}, another zone: reading across zones is slow and costs by the "
            "gigabyte. Build both in one zone (training_zone), or use --fs efs."
        )


def images(references: Mapping[str, str], values: Values) -> Iterator[PlannedValue]:
    """Values for the container images that are not set: ``references`` by dotted name of the value."""
    for name, reference in references.items():
        section, _, last = name.partition(".")
        if not values.text(name) and (section == "maskrcnn" or values.flag(f"{section}.enabled")):
            yield PlannedValue((section, last), reference, "the newest in ECR")


def claims(built: Built, planned: Iterable[PlannedValue], values: Values) -> list[dict[str, Any]]:
    """A volume and its claim for each file system that the planned values use.

    The volumes are static and kept when their claims are deleted.

    Raises:
        UserError: when the namespace of the claims is unknown.
    """
    namespace = values.text("global.namespace")
    if not namespace:
        raise UserError("global.namespace: empty, so the namespace of the claims is unknown. Set it.")
    planned_values = {".".join(map(str, value.path)): value.value for value in planned}

    def get(name: str) -> str:
        return str(planned_values.get(name, values.get(name)) or "")

    names = {get("global.shared_fs"): get("global.shared_pvc")}
    names.setdefault(get("maskrcnn.data_fs"), get("maskrcnn.data_pvc"))
    return volumes(built, namespace, names, values.catalogue)


def volumes(
    built: Built, namespace: str, names: Mapping[str, str], catalogue: Catalogue
) -> list[dict[str, Any]]:
    """A static volume and its claim for each file system in ``names``, by the claim's name.

    An empty name is that of the default claim.
    """
    objects: list[dict[str, Any]] = []
    for file_system, name in sorted(names.items()):
        row = catalogue.file_systems[file_system]
        csi: dict[str, Any] = {"driver": row.driver}
        if file_system == "fsx" and built.fsx:
            csi |= _fsx_volume(built.fsx)
            size, options = f"{built.fsx.capacity}Gi", {"mountOptions": ["flock"]}
        else:
            csi |= {"volumeHandle": built.efs}
            size, options = EFS_SIZE, {}
        objects += _volume_and_claim(namespace, name or row.claim, size, csi, options)
    return objects


def _fsx_volume(fsx: BuiltFsx) -> dict[str, Any]:
    return {
        "volumeHandle": fsx.id,
        "volumeAttributes": {"dnsname": fsx.dns_name, "mountname": fsx.mount_name},
    }


def _volume_and_claim(
    namespace: str, name: str, size: str, csi: Mapping[str, Any], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    volume = f"{namespace}-{name}"
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name}
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                **common,
                "capacity": {"storage": size},
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": reference,
                **options,
                "csi": dict(csi),
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {**common, "volumeName": volume, "resources": {"requests": {"storage": size}}},
        },
    ]
