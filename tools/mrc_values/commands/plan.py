"""mrc-values plan"""

import difflib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import UsageError, UserError
from mrc_cli.terminal import result, say

from mrc_values.arguments import Chart, Context, Kubeconfig, chart_directory

if TYPE_CHECKING:
    from mrc_values.catalogue import NodeGroup
    from mrc_values.planning import FileSystems
    from mrc_values.values import Values


class FileSystem(StrEnum):
    """File system of the data set."""

    EFS = "efs"
    FSX = "fsx"
    AUTO = "auto"


def plan(
    node_group: Annotated[
        str, typer.Option(metavar="GROUP", help="A node group from `mrc-values node-groups`, such as p4d.")
    ],
    nodes: Annotated[int, typer.Option(min=1, help="Number of nodes.")],
    chart: Chart = None,
    fs: Annotated[
        FileSystem,
        typer.Option(help="File system of the data set. auto: choose by the claims in the cluster."),
    ] = FileSystem.EFS,
    values: Annotated[
        Path | None, typer.Option("-f", "--values", metavar="FILE", help="The values file to change.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write FILE without confirmation.")] = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Compute the values for a number of nodes: GPUs, workers, steps per epoch, file systems.

    Without -f, prints a values file. With -f, shows the changes to FILE as a diff and writes them after
    confirmation; comments are kept. The chart derives EFA, memory and /dev/shm from the node group.
    lr_schedule and base_lr do not change: they are for a total batch of 8, and the trainer scales them.

    Example: mrc-values plan charts/maskrcnn --node-group p4d --nodes 4 --fs auto -f values.yaml

    Exit code: 0 success, 1 FILE cannot be changed, 2 wrong usage, 3 the cluster could not be reached (--fs
    auto).
    """
    from mrc_values import planning
    from mrc_values import values as reading

    directory = chart_directory(chart)
    group = _node_group(directory, node_group)
    loaded, unreadable = reading.load(directory, [values] if values else [])
    if "maskrcnn" not in loaded.merged:
        raise UsageError(f"{directory}: not a training chart. Use charts/maskrcnn or a copy of it.")
    if unreadable:
        raise UserError("\n".join(map(str, unreadable)))
    planned = planning.plan(group, nodes, _file_systems(fs, loaded, context, kubeconfig), loaded)
    if values is None:
        result(planning.new_file(planned).rstrip("\n"))
        return
    before = values.read_bytes().decode("utf-8-sig")
    after = planning.edited(before, planning.changed(planned, loaded))
    diff = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), str(values), "planned"
    )
    text = "".join(diff)
    if not text or before == after:
        say(f"{values}: no changes.")
        return
    result(text.replace("\r\n", "\n").rstrip("\n"))
    if write or (sys.stdin.isatty() and typer.confirm(f"Write {values}?", err=True)):
        values.write_bytes(after.encode())
        say(f"{values}: written.")
        _check(directory, values)
    else:
        say(f"{values}: not written. Use --write to write it.")


def _node_group(directory: Path, name: str) -> "NodeGroup":
    from mrc_values import catalogue

    groups = catalogue.load(directory).node_groups
    if name not in groups:
        available = ", ".join(groups) or "none"
        raise UsageError(f"--node-group {name}: not in the catalogue of {directory}. Available: {available}.")
    return groups[name]


def _file_systems(
    fs: FileSystem, loaded: "Values", context: str | None, kubeconfig: Path | None
) -> "FileSystems":
    """The requested file system for the data set, and the current one for logs and checkpoints."""
    from mrc_values.planning import FileSystems

    if fs is not FileSystem.AUTO:
        return FileSystems(fs.value, loaded.text("global.shared_fs") or "efs")
    from mrc_values.cluster import client
    from mrc_values.cluster.filesystems import choose

    cluster = client.connect(context, kubeconfig)
    chosen, reasons = choose(cluster, loaded.text("global.namespace") or cluster.namespace, loaded)
    for reason in reasons:
        say(reason)
    return chosen


def _check(directory: Path, file: Path) -> None:
    """Print the findings about the written file."""
    from mrc_cli import reports

    from mrc_values.check import check

    if text := reports.text(check(directory, [file]).findings):
        say(text)
