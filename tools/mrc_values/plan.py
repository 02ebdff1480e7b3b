"""The values that follow from a node group, a number of nodes and a file system."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from mrc_cli.findings import ValuePath, dotted

from mrc_values.catalogue import NodeGroup
from mrc_values.values import Values


@dataclass(frozen=True)
class FileSystems:
    """Where the data lies, ``efs`` or ``fsx``, and where logs and checkpoints go."""

    data: str
    shared: str


@dataclass(frozen=True)
class PlannedValue:
    """One value, and in a few words why it is that."""

    path: ValuePath
    value: Any
    why: str


def settings(group: NodeGroup, nodes: int, file_systems: FileSystems, values: Values) -> list[PlannedValue]:
    """The values for ``nodes`` nodes of a group. EFA, memory and /dev/shm come from the chart's catalogue.

    ``values`` are the present ones; what they set against the catalogue is taken back.
    """
    return [
        *_places(file_systems, values),
        *_nodes(group, nodes, values),
        *_epoch(nodes * group.gpus, values),
    ]


def _places(file_systems: FileSystems, values: Values) -> Iterator[PlannedValue]:
    data, shared = file_systems.data, file_systems.shared
    yield PlannedValue(("global", "shared_fs"), shared, "logs and checkpoints")
    if values.get("global.shared_pvc") and values.get("global.shared_fs") != shared:
        yield PlannedValue(("global", "shared_pvc"), "", f"the usual claim of {shared}")
    yield PlannedValue(("maskrcnn", "data_fs"), data, "the data set and the backbone's weights")
    before = values.get("maskrcnn.data_fs") or values.get("global.shared_fs")
    if values.get("maskrcnn.data_pvc") and (before != data or data == shared):
        yield PlannedValue(("maskrcnn", "data_pvc"), "", f"the claim of {data}")


def _nodes(group: NodeGroup, nodes: int, values: Values) -> Iterator[PlannedValue]:
    efa = int(group.row.get("efa", 0))
    what = f"{group.instance_type}, {group.gpus} {group.gpu}" + (f", {efa} EFA" if efa else ", no EFA")
    yield PlannedValue(("maskrcnn", "node_group"), group.name, what)
    yield PlannedValue(("maskrcnn", "gpus"), nodes * group.gpus, f"{nodes} x {group.gpus}")
    yield PlannedValue(("maskrcnn", "gpus_per_node"), group.gpus, "a worker has a node for itself")
    yield PlannedValue(("maskrcnn", "gpu_nodes"), nodes, "workers")
    for name in ("gpu_instance_type", "efa"):
        if values.sets(f"maskrcnn.{name}") and values.get(f"maskrcnn.{name}") is not None:
            yield PlannedValue(("maskrcnn", name), None, "decided by node_group")


def _epoch(gpus: int, values: Values) -> Iterator[PlannedValue]:
    """The steps alone: lr_schedule and base_lr count at a total batch of 8, and the trainer scales them."""
    if "train2017" not in str(values.get("maskrcnn.data_train")) or values.get("maskrcnn.images_per_epoch"):
        return  # nobody knows how many images there are, or they decide the steps
    images = values.catalogue.images.get("train2017")
    if images is None:
        return
    batch = gpus * (values.integer("maskrcnn.batch_size_per_gpu") or 1)
    why = f"{images} images / a total batch of {batch}"
    yield PlannedValue(("maskrcnn", "steps_per_epoch"), max(round(images / batch), 1), why)


def changed(wanted: Sequence[PlannedValue], values: Values) -> list[PlannedValue]:
    """Those that differ from the values in effect."""
    present = {dotted(setting.path): values.get(dotted(setting.path)) for setting in wanted}
    # Without data_fs the data is on the shared file system.
    present["maskrcnn.data_fs"] = present.get("maskrcnn.data_fs") or values.get("global.shared_fs")
    return [setting for setting in wanted if present[dotted(setting.path)] != setting.value]


def new_file(wanted: Sequence[PlannedValue]) -> str:
    """A values file of the settings, each with its reason."""
    return edited("", wanted)


def edited(text: str, wanted: Sequence[PlannedValue]) -> str:
    """A values file with the settings in it: comments, order and quotes stay; new ones come with a reason."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    width = _indent(text)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    offset = _list_offset(text)
    yaml.indent(mapping=width, sequence=offset + 2, offset=offset)
    yaml.representer.add_representer(type(None), _null)
    root = yaml.load(text)
    holds_values = root is not None
    root = root if holds_values else CommentedMap()
    for setting in wanted:
        (section_name, name) = setting.path
        if not isinstance(root.get(section_name), dict):
            root[section_name] = CommentedMap()
        section = root[section_name]
        if name in section:
            section[name] = setting.value
            continue
        section.insert(_after(section, wanted), name, setting.value)
        if not section.fa.flow_style():  # in braces, a comment would take the rest of the line
            line = f"{' ' * width}{name}: {setting.value}"
            section.yaml_add_eol_comment(setting.why, name, column=len(line) + 2)
    written = StringIO()
    yaml.dump(root, written)
    result = written.getvalue()
    if not holds_values:
        result = text + result  # a file of comments, which no value holds
    result = result if result.endswith("\n") else f"{result}\n"
    return result.replace("\n", "\r\n") if "\r\n" in text else result


def _after(section: Mapping[str, Any], wanted: Sequence[PlannedValue]) -> int:
    """Where a new value goes: behind those that were planned with it, else at the end."""
    planned = {setting.path[-1] for setting in wanted}
    places = [index for index, name in enumerate(section) if name in planned]
    return max(places) + 1 if places else len(section)


def _indent(text: str) -> int:
    """Spaces of a section's values."""
    found = re.search(r"^( +)[^\s#-]", text, re.MULTILINE)
    return len(found[1]) if found else 2


def _list_offset(text: str) -> int:
    """Spaces of a list's dashes, counted from the name above."""
    found = re.search(r"^( *)[^\s#-][^\n]*:[ \t]*\n( *)- ", text, re.MULTILINE)
    return max(len(found[2]) - len(found[1]), 0) if found else 2


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
