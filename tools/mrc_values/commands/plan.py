"""mrc-values plan"""

import difflib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import UsageError, UserError

from mrc_values.commands.arguments import Chart, Context, Kubeconfig, chart_folder

if TYPE_CHECKING:
    from mrc_values.catalogue import NodeGroup
    from mrc_values.plan import FileSystems
    from mrc_values.values import Values


class FileSystem(StrEnum):
    """Where the data set lies."""

    EFS = "efs"
    FSX = "fsx"
    AUTO = "auto"


def plan(
    node_group: Annotated[
        str, typer.Option(metavar="GROUP", help="A row of mrc-values node-groups, such as p4d.")
    ],
    nodes: Annotated[int, typer.Option(min=1, help="Number of nodes.")],
    chart: Chart = None,
    fs: Annotated[
        FileSystem, typer.Option(help="File system of the data. auto: by the claims of the cluster.")
    ] = FileSystem.EFS,
    values: Annotated[
        Path | None, typer.Option("-f", "--values", metavar="FILE", help="The values file to change.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write FILE without asking.")] = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Work out the values for a number of nodes: GPUs, workers, steps of an epoch, file systems.

    Without -f it prints a values file. With it, the changes to FILE are shown as a diff and written when you
    say yes; comments stay. EFA, memory and /dev/shm follow from the node group, in the chart. lr_schedule
    and base_lr stay: they count at a total batch of 8, and the trainer scales them.

    Example: mrc-values plan charts/maskrcnn --node-group p4d --nodes 4 --fs auto -f values.yaml

    Exit code: 0 planned, 1 FILE cannot be changed, 2 called wrongly, 3 the cluster could not be reached
    (--fs auto).
    """
    from mrc_values import plan as planning
    from mrc_values import values as reading

    folder = chart_folder(chart)
    group = _node_group(folder, node_group)
    loaded, unreadable = reading.load(folder, [values] if values else [])
    if "maskrcnn" not in loaded.merged:
        raise UsageError(f"{folder}: no training chart. Name charts/maskrcnn or one made from it.")
    if unreadable:
        raise UserError("\n".join(map(str, unreadable)))
    wanted = planning.settings(group, nodes, _file_systems(fs, loaded, context, kubeconfig), loaded)
    if values is None:
        typer.echo(planning.new_file(wanted), nl=False)
        return
    before = values.read_bytes().decode("utf-8-sig")
    after = planning.edited(before, planning.changed(wanted, loaded))
    difference = "".join(
        difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), str(values), "planned"
        )
    )
    if not difference or before == after:
        _say(f"{values}: nothing changes.")
        return
    typer.echo(difference, nl=False)
    if write or (sys.stdin.isatty() and typer.confirm(f"Write {values}?", err=True)):
        values.write_bytes(after.encode())
        _say(f"{values}: written.")
        _check(folder, values)
    else:
        _say(f"{values}: not written. --write does.")


def _node_group(folder: Path, name: str) -> "NodeGroup":
    from mrc_cli.suggestions import nearest

    from mrc_values import catalogue

    groups = catalogue.load(folder).node_groups
    if name not in groups:
        meant = nearest(name, groups)
        hint = f"Did you mean {meant}?" if meant else f"There are: {', '.join(groups) or 'none'}."
        raise UsageError(f"--node-group {name}: not in the catalogue of {folder}. {hint}")
    return groups[name]


def _file_systems(
    fs: FileSystem, loaded: "Values", context: str | None, kubeconfig: Path | None
) -> "FileSystems":
    """The data's as asked for, and the one that the values have for logs and checkpoints."""
    from mrc_values.plan import FileSystems

    if fs is not FileSystem.AUTO:
        return FileSystems(fs.value, loaded.text("global.shared_fs") or "efs")
    from mrc_values.cluster import client
    from mrc_values.cluster.filesystems import choose

    cluster = client.connect(context, kubeconfig)
    chosen, said = choose(cluster, loaded.text("global.namespace") or cluster.namespace, loaded)
    for line in said:
        _say(line)
    return chosen


def _check(folder: Path, file: Path) -> None:
    """What is left to do in the file, as `validate` says it."""
    from mrc_cli import reports

    from mrc_values.check import check

    if text := reports.text(check(folder, [file]).findings):
        _say(text)


def _say(text: str) -> None:
    typer.echo(text, err=True)
