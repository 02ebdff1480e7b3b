"""mrc-values plan"""

import difflib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from mrc_cli.errors import UsageError, UserError
from mrc_cli.terminal import result, say

from mrc_values.arguments import Chart, ChartVersion, Context, Kubeconfig, chart_directory, node_group_named

if TYPE_CHECKING:
    from mrc_values.planning import FileSystems, PlannedValue
    from mrc_values.values import Values


class FileSystem(StrEnum):
    """File system of the data set."""

    EFS = "efs"
    FSX = "fsx"
    AUTO = "auto"


def plan(
    nodes: Annotated[int, typer.Option(min=1, help="Number of nodes.")],
    node_group: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP",
            help="A node group from `mrc-values node-groups`, such as p4d. Optional with --from-terraform.",
        ),
    ] = None,
    chart: Chart = None,
    version: ChartVersion = None,
    from_terraform: Annotated[
        list[str] | None,
        typer.Option(
            "--from-terraform",
            metavar="SOURCE",
            help="What Terraform built: the directory of a root, a file with the output of `terraform output "
            "-json`, or - for stdin. Twice for aws-eks-cluster and aws-eks-nodegroup.",
        ),
    ] = None,
    claims: Annotated[
        Path | None,
        typer.Option(
            metavar="CLAIMS",
            help="File for the volumes and claims of --from-terraform. [default: claims.yaml beside FILE]",
        ),
    ] = None,
    fs: Annotated[
        FileSystem | None,
        typer.Option(
            help="File system of the data set. auto: choose by the claims in the cluster. [default: efs; "
            "with --from-terraform: fsx if there is one]",
            show_default=False,
        ),
    ] = None,
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

    With --from-terraform, node group and file systems are those that Terraform built, images are the newest
    in its ECR repositories, and volumes and claims are written beside FILE, for kubectl apply.

    Examples:

    mrc-values plan charts/maskrcnn --node-group p4d --nodes 4 --fs auto -f values.yaml

    mrc-values plan --from-terraform terraform/aws-eks-cluster-and-nodegroup --nodes 4 -f values.yaml

    Exit code: 0 success, 1 FILE cannot be changed or the plan does not fit what was built, 2 wrong usage,
    3 the cluster could not be reached (--fs auto).
    """
    from mrc_values import planning
    from mrc_values import values as reading

    directory = chart_directory(chart, version)
    if not from_terraform and claims:
        raise UsageError("--claims: needs --from-terraform, which knows the file systems.")
    if not from_terraform and not node_group:
        raise UsageError("--node-group: missing. Give it, or --from-terraform.")
    loaded, unreadable = reading.load(directory, [values] if values else [])
    if "maskrcnn" not in loaded.merged:
        raise UsageError(f"{directory}: not a training chart. Use charts/maskrcnn or a copy of it.")
    if unreadable:
        raise UserError("\n".join(map(str, unreadable)))
    manifests: list[dict[str, Any]] = []
    if from_terraform:
        planned, manifests = _built(from_terraform, node_group, nodes, fs, directory, loaded)
    else:
        group = node_group_named(directory, node_group or "")
        file_systems = _file_systems(fs or FileSystem.EFS, loaded, context, kubeconfig)
        planned = planning.plan(group, nodes, file_systems, loaded)
    _say_retired(loaded, planned)
    if values is None:
        if claims:
            _write_claims(claims, manifests)
        result(planning.new_file(planned).rstrip("\n"))
        return
    claims = (claims or values.with_name("claims.yaml")) if manifests else None
    before = values.read_bytes().decode("utf-8-sig")
    after = planning.edited(before, planning.changed(planned, loaded))
    diff = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), str(values), "planned"
    )
    text = "".join(diff)
    if not text or before == after:
        say(f"{values}: no changes.")
        if claims:
            _write_claims(claims, manifests)
        return
    result(text.replace("\r\n", "\n").rstrip("\n"))
    if write or (sys.stdin.isatty() and typer.confirm(f"Write {values}?", err=True)):
        values.write_bytes(after.encode())
        say(f"{values}: written.")
        if claims:
            _write_claims(claims, manifests)
        _check(directory, values)
    else:
        say(f"{values}: not written. Use --write to write it.")


def _built(
    sources: list[str],
    wanted: str | None,
    nodes: int,
    fs: FileSystem | None,
    directory: Path,
    loaded: "Values",
) -> "tuple[list[PlannedValue], list[dict[str, Any]]]":
    """The values and the claims that follow from what Terraform built."""
    from mrc_values import built_planning, ecr_images, planning, terraform_outputs

    if fs is FileSystem.AUTO:
        raise UsageError("--fs auto: with --from-terraform, leave it out, or use efs or fsx.")
    built = terraform_outputs.read(sources)
    group, row = built_planning.node_group(built, wanted, loaded.catalogue)
    used = built_planning.file_systems(built, fs and fs.value, loaded)
    built_planning.check_fit(built, group, nodes, used)
    planned = planning.plan(row, nodes, used, loaded)
    planned += built_planning.images(ecr_images.newest(built, directory.name, loaded), loaded)
    return planned, built_planning.claims(built, planned, loaded)


def _say_retired(loaded: "Values", planned: "list[PlannedValue]") -> None:
    name = next(value.value for value in planned if value.path == ("maskrcnn", "node_group"))
    group = loaded.catalogue.node_groups[name]
    if group.retired:
        say(f"{name}: AWS no longer offers {group.instance_type}. Use another node group, unless it runs.")


def _write_claims(file: Path, manifests: list[dict[str, Any]]) -> None:
    """Write the objects for kubectl apply, unless the file has them."""
    import yaml
    from mrc_cli.files import write_atomically

    text = "# Written by mrc-values plan --from-terraform.\n" + yaml.safe_dump_all(manifests, sort_keys=False)
    if file.exists() and file.read_text() == text:
        return
    write_atomically(file, text)
    say(f"{file}: written. Then: kubectl apply -f {file}")


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
