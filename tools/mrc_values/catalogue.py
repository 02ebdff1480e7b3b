"""The chart's catalogue of GPU node groups, which its templates read as well."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path("files") / "common" / "node-groups.yaml"


@dataclass(frozen=True)
class NodeGroup:
    """A row of the catalogue, all of it in ``row``; CPU and memory (MiB) are what pods of a node can have."""

    name: str
    instance_type: str
    gpu: str
    gpus: int
    gpu_memory_mib: int
    cpu_millis: int
    memory_mib: int
    row: dict[str, Any]

    @property
    def short_name(self) -> str:
        """As in "a p4d node": the instance family where the group is called so, else the instance type."""
        return (
            self.name if self.instance_type.startswith(f"{self.name}.") else self.instance_type or self.name
        )


def load(chart: Path) -> dict[str, NodeGroup]:
    """Node groups by name; none where the chart has no catalogue."""
    try:
        text = (chart / FILE).read_text()
    except OSError:
        return {}
    rows = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}  # noqa: S506 (safe)
    return {name: _node_group(name, row) for name, row in rows.items()}


def _node_group(name: str, row: dict[str, Any]) -> NodeGroup:
    return NodeGroup(
        name=name,
        instance_type=str(row.get("instance_type", "")),
        gpu=str(row.get("gpu", "")),
        gpus=int(row.get("gpus", 0)),
        gpu_memory_mib=int(row.get("gpu_memory_mib", 0)),
        cpu_millis=int((row.get("allocatable") or {}).get("cpu_millis", 0)),
        memory_mib=int((row.get("allocatable") or {}).get("memory_mib", 0)),
        row=row,
    )
