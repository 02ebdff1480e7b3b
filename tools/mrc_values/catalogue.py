"""The tables in a chart's files/common/: node groups, file systems, settings of the trainer and data sets.

The chart's templates read the same files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

COMMON = Path("files") / "common"
NODE_GROUPS = COMMON / "node-groups.yaml"


@dataclass(frozen=True)
class NodeGroup:
    """A row of node-groups.yaml, with the whole row in ``row``.

    ``cpu_millis`` and ``memory_mib`` are what the pods of a node can request. AWS no longer offers the
    instance type of a ``retired`` row.
    """

    name: str
    instance_type: str
    gpu: str
    gpus: int
    gpu_memory_mib: int
    cpu_millis: int
    memory_mib: int
    retired: bool
    row: dict[str, Any]

    @property
    def short_name(self) -> str:
        """The name to use in "a p4d node": the group's if it is the instance family, else the instance
        type."""
        return (
            self.name if self.instance_type.startswith(f"{self.name}.") else self.instance_type or self.name
        )


@dataclass(frozen=True)
class FileSystem:
    """A row of file-systems.yaml. ``claim`` is the default, ``claims`` are all names the tutorial uses."""

    title: str
    claim: str
    claims: tuple[str, ...]
    driver: str


@dataclass(frozen=True)
class TrainerSetting:
    """A row of trainer-settings.yaml: the value ``name`` under ``maskrcnn`` is the trainer's ``key``."""

    key: str
    name: str
    is_path: bool = False
    is_always_passed: bool = False


@dataclass(frozen=True)
class Catalogue:
    """The tables of a chart. A table is empty if the chart does not have its file."""

    node_groups: Mapping[str, NodeGroup] = field(default_factory=dict)
    file_systems: Mapping[str, FileSystem] = field(default_factory=dict)
    trainer_settings: tuple[TrainerSetting, ...] = ()
    images: Mapping[str, int] = field(default_factory=dict)
    """Images of an epoch, by the name of the split."""

    def claim(self, file_system: str) -> str:
        """The default claim of a file system; empty for an unknown file system."""
        return self.file_systems[file_system].claim if file_system in self.file_systems else ""


def load(chart: Path) -> Catalogue:
    """The tables of the chart in a directory."""
    return Catalogue(
        node_groups={name: _node_group(name, row) for name, row in _rows(chart / NODE_GROUPS).items()},
        file_systems={
            name: _file_system(row) for name, row in _rows(chart / COMMON / "file-systems.yaml").items()
        },
        trainer_settings=tuple(
            TrainerSetting(row["key"], row["value"], row.get("path", False), row.get("always", False))
            for row in _rows(chart / COMMON / "trainer-settings.yaml") or ()
            if "value" in row
        ),
        images={name: row["images"] for name, row in _rows(chart / COMMON / "data-sets.yaml").items()},
    )


def _rows(file: Path) -> Any:
    try:
        text = file.read_text()
    except OSError:
        return {}
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}  # noqa: S506 (safe)


def _node_group(name: str, row: dict[str, Any]) -> NodeGroup:
    return NodeGroup(
        name=name,
        instance_type=str(row.get("instance_type", "")),
        gpu=str(row.get("gpu", "")),
        gpus=int(row.get("gpus", 0)),
        gpu_memory_mib=int(row.get("gpu_memory_mib", 0)),
        cpu_millis=int((row.get("allocatable") or {}).get("cpu_millis", 0)),
        memory_mib=int((row.get("allocatable") or {}).get("memory_mib", 0)),
        retired=bool(row.get("retired", False)),
        row=row,
    )


def _file_system(row: dict[str, Any]) -> FileSystem:
    return FileSystem(
        title=row["title"],
        claim=row["claim"],
        claims=(row["claim"], *row.get("other_claims", ())),
        driver=row["driver"],
    )
