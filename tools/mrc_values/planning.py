"""The values that follow from a node group, a number of nodes and a file system."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrc_cli.findings import ValuePath, dotted

from mrc_values.catalogue import NodeGroup
from mrc_values.values import Values


@dataclass(frozen=True)
class FileSystems:
    """The file systems (``efs`` or ``fsx``) of the data set, and of logs and checkpoints."""

    data: str
    shared: str


@dataclass(frozen=True)
class PlannedValue:
    """A value and the reason for it, in a few words."""

    path: ValuePath
    value: Any
    why: str


def plan(group: NodeGroup, nodes: int, file_systems: FileSystems, values: Values) -> list[PlannedValue]:
    """The values for ``nodes`` nodes of a group. EFA, memory and /dev/shm come from the chart's catalogue.

    ``values`` are the current ones; those that would override the catalogue are reset.
    """
    return [
        *_file_systems(file_systems, values),
        *_nodes(group, nodes, values),
        *_epoch(nodes * group.gpus, values),
    ]


def _file_systems(file_systems: FileSystems, values: Values) -> Iterator[PlannedValue]:
    data, shared = file_systems.data, file_systems.shared
    yield PlannedValue(("global", "shared_fs"), shared, "logs and checkpoints")
    if values.get("global.shared_pvc") and values.get("global.shared_fs") != shared:
        yield PlannedValue(("global", "shared_pvc"), "", f"the default claim for {shared}")
    yield PlannedValue(("maskrcnn", "data_fs"), data, "the data set and the backbone's weights")
    before = values.get("maskrcnn.data_fs") or values.get("global.shared_fs")
    if values.get("maskrcnn.data_pvc") and (before != data or data == shared):
        yield PlannedValue(("maskrcnn", "data_pvc"), "", f"the default claim for {data}")


def _nodes(group: NodeGroup, nodes: int, values: Values) -> Iterator[PlannedValue]:
    efa = int(group.row.get("efa", 0))
    what = f"{group.instance_type}, {group.gpus} {group.gpu}" + (f", {efa} EFA" if efa else ", no EFA")
    yield PlannedValue(("maskrcnn", "node_group"), group.name, what)
    yield PlannedValue(("maskrcnn", "gpus"), nodes * group.gpus, f"{nodes} x {group.gpus}")
    yield PlannedValue(("maskrcnn", "gpus_per_node"), group.gpus, "one worker per node")
    yield PlannedValue(("maskrcnn", "gpu_nodes"), nodes, "workers")
    for name in ("gpu_instance_type", "efa"):
        if values.sets(f"maskrcnn.{name}") and values.get(f"maskrcnn.{name}") is not None:
            yield PlannedValue(("maskrcnn", name), None, "follows from node_group")


def _epoch(gpus: int, values: Values) -> Iterator[PlannedValue]:
    """Only the steps: lr_schedule and base_lr are for a total batch of 8, and the trainer scales them."""
    if "train2017" not in str(values.get("maskrcnn.data_train")) or values.get("maskrcnn.images_per_epoch"):
        return  # the number of images is unknown, or determines the steps
    images = values.catalogue.images.get("train2017")
    if images is None:
        return
    batch = gpus * (values.integer("maskrcnn.batch_size_per_gpu") or 1)
    why = f"{images} images / a total batch of {batch}"
    yield PlannedValue(("maskrcnn", "steps_per_epoch"), max(round(images / batch), 1), why)


def changed(planned: Sequence[PlannedValue], values: Values) -> list[PlannedValue]:
    """The planned values that differ from the current ones."""
    present = {dotted(setting.path): values.get(dotted(setting.path)) for setting in planned}
    # Without data_fs the data set is on the shared file system.
    present["maskrcnn.data_fs"] = present.get("maskrcnn.data_fs") or values.get("global.shared_fs")
    return [setting for setting in planned if present[dotted(setting.path)] != setting.value]


def new_file(planned: Sequence[PlannedValue]) -> str:
    """A values file with the planned values and their reasons."""
    return edited("", planned)


def edited(text: str, planned: Sequence[PlannedValue]) -> str:
    """A values file with the planned values; comments, order and quotes are kept, new values get a
    comment."""
    # ruamel.yaml takes 50 ms to import.
    from ruamel.yaml.comments import CommentedMap

    from mrc_values.yaml_edit import YamlFile

    file = YamlFile(text)
    for value in planned:
        (section_name, name) = value.path
        if not isinstance(file.root.get(section_name), dict):
            file.root[section_name] = CommentedMap()
        section = file.root[section_name]
        if name in section:
            section[name] = value.value
            continue
        section.insert(_position(section, planned), name, value.value)
        if not section.fa.flow_style():  # in braces, a comment would hide the rest of the line
            line = f"{' ' * file.indent}{name}: {value.value}"
            section.yaml_add_eol_comment(value.why, name, column=len(line) + 2)
    return file.text()


def _position(section: Mapping[str, Any], planned: Sequence[PlannedValue]) -> int:
    """Where to insert a new value: after the other planned values, else at the end."""
    names = {value.path[-1] for value in planned}
    positions = [index for index, name in enumerate(section) if name in names]
    return max(positions) + 1 if positions else len(section)
