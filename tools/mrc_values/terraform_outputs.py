"""What Terraform built, read from the output ``mrc_values`` of the roots in terraform/."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrc_cli.errors import UsageError, UserError

SCHEMA = 1
"""Version of the output. The roots raise it when a key changes its meaning."""


@dataclass(frozen=True)
class BuiltNodeGroup:
    """A node group of EKS; ``row`` is its row in node-groups.yaml."""

    name: str
    row: str
    instance_type: str
    max_size: int
    subnet_ids: tuple[str, ...]


@dataclass(frozen=True)
class BuiltFsx:
    """A file system of FSx for Lustre; ``capacity`` is in GiB."""

    id: str
    dns_name: str
    mount_name: str
    capacity: int
    subnet_id: str


@dataclass(frozen=True)
class Built:
    """The outputs of one root, or of several that built one cluster.

    Attributes:
        version: Kubernetes version of the control plane, such as ``1.34``.
        endpoint: URL of the API server.
        vpc: ID of the VPC.
        efs: ID of the file system, empty without one.
        repositories: addresses in ECR by name.
    """

    cluster: str
    version: str
    endpoint: str
    vpc: str
    region: str
    node_groups: Mapping[str, BuiltNodeGroup] = field(default_factory=dict)
    efs: str = ""
    fsx: BuiltFsx | None = None
    repositories: Mapping[str, str] = field(default_factory=dict)


def read(sources: Iterable[str]) -> Built:
    """The outputs of all sources: directories of Terraform roots, files with their outputs, or ``-``.

    Raises:
        UsageError: when a source does not exist.
        UserError: when Terraform fails, or the outputs are not what the roots write.
    """
    return merged([parse(_text(source), source) for source in sources])


def parse(text: str, source: str) -> Built:
    """The outputs in the JSON of ``terraform output -json``, or of that with the name of the output.

    Raises:
        UserError: when it is something else, or of another schema. Messages name ``source``.
    """
    try:
        outputs = json.loads(text)
    except ValueError as error:
        raise UserError(f"{source}: not the JSON of terraform output -json: {error}.") from None
    if not isinstance(outputs, dict):
        raise UserError(f"{source}: not the JSON of terraform output -json: no object.")
    if not outputs:
        raise UserError(f"{source}: Terraform has no outputs yet. Run terraform apply there first.")
    named = outputs.get("mrc_values")
    values = named.get("value") if isinstance(named, dict) else outputs
    if not isinstance(values, dict) or "schema" not in values:
        raise UserError(f"{source}: no output mrc_values. Use one of the roots in terraform/.")
    if values["schema"] != SCHEMA:
        raise UserError(
            f"{source}: mrc_values has schema {values['schema']}, but this mrc-values reads schema {SCHEMA}. "
            "Use both from one release, and run terraform apply again."
        )
    try:
        return _built(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{source}: mrc_values is incomplete: {what}. Run terraform apply again.") from None


def merged(parts: list[Built]) -> Built:
    """One cluster from the outputs of several roots. Raises UserError if they are of different clusters."""
    first = parts[0]
    for part in parts[1:]:
        if (part.cluster, part.region) != (first.cluster, first.region):
            raise UserError(
                f"--from-terraform: the outputs are of different clusters: {first.cluster} in {first.region} "
                f"and {part.cluster} in {part.region}."
            )
    return Built(
        cluster=first.cluster,
        version=first.version,
        endpoint=first.endpoint,
        vpc=first.vpc,
        region=first.region,
        node_groups={name: group for part in parts for name, group in part.node_groups.items()},
        efs=next((part.efs for part in parts if part.efs), ""),
        fsx=next((part.fsx for part in parts if part.fsx), None),
        repositories={name: url for part in parts for name, url in part.repositories.items()},
    )


def _built(values: Mapping[str, Any]) -> Built:
    cluster = values["cluster"]
    file_systems = values.get("file_systems") or {}
    efs, fsx = file_systems.get("efs"), file_systems.get("fsx")
    return Built(
        cluster=str(cluster["name"]),
        version=str(cluster["version"]),
        endpoint=str(cluster["endpoint"]),
        vpc=str(cluster["vpc_id"]),
        region=str(values["region"]),
        node_groups={name: _node_group(name, group) for name, group in values["node_groups"].items()},
        efs=str(efs["id"]) if efs else "",
        fsx=_fsx(fsx) if fsx else None,
        repositories={name: str(url) for name, url in (values.get("repositories") or {}).items()},
    )


def _node_group(name: str, group: Mapping[str, Any]) -> BuiltNodeGroup:
    return BuiltNodeGroup(
        name=name,
        row=str(group["node_group"]),
        instance_type=str(group["instance_type"]),
        max_size=int(group["max_size"]),
        subnet_ids=tuple(map(str, group["subnet_ids"])),
    )


def _fsx(fsx: Mapping[str, Any]) -> BuiltFsx:
    return BuiltFsx(
        id=str(fsx["id"]),
        dns_name=str(fsx["dns_name"]),
        mount_name=str(fsx["mount_name"]),
        capacity=int(fsx["capacity"]),
        subnet_id=str(fsx["subnet_id"]),
    )


def _text(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    path = Path(source)
    if path.is_dir():
        return _outputs(path)
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise UsageError(f"--from-terraform {source}: {str(reason).lower()}") from None


def _outputs(root: Path) -> str:
    try:
        done = subprocess.run(  # noqa: S603 (an argument list)
            ["terraform", f"-chdir={root}", "output", "-json", "-no-color"],  # noqa: S607
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise UserError(
            "terraform: not found. Install it, or give the output of terraform output -json as a file."
        ) from None
    if done.returncode:
        lines = [line.strip(" │╷╵") for line in done.stderr.splitlines() if line.strip(" │╷╵")]
        raise UserError(
            f"{root}: terraform output: {lines[0] if lines else 'failed'}. Run terraform init there."
        )
    return done.stdout
