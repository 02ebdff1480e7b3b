"""mrc-values cluster up"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated, Any

import typer
from mrc_cli.errors import UsageError
from mrc_cli.terminal import result, say

from mrc_values.arguments import Context, Kubeconfig
from mrc_values.cluster_arguments import Sources, check_is_the_one

if TYPE_CHECKING:
    from mrc_values.addons import Addon
    from mrc_values.terraform_outputs import Built


def up(
    from_terraform: Sources,
    charts: Annotated[Path, typer.Option(metavar="DIR", help="Directory of this suite's charts.")] = Path(
        "charts"
    ),
    autoscaler_chart: Annotated[
        str | None,
        typer.Option(
            metavar="CHART",
            help="The chart cluster-autoscaler as a directory, package or oci:// address, for networks that "
            "do not reach its repository. [default: the pinned version of that repository]",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the commands as a shell script instead; asks no cluster."),
    ] = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Install what jobs need: device plugins, autoscaler, MPI Operator, volumes and claims.

    Prints each helm command before it runs it. The result is ordinary Helm releases, which `helm list` shows,
    and a static volume with its claim for each file system. Running it again changes only what is different.

    Example: mrc-values cluster up --from-terraform terraform/aws-eks-cluster-and-nodegroup

    Exit code: 0 installed, 1 something cannot be installed, 2 wrong usage, 3 the cluster could not be reached
    or denied a request, or helm failed.
    """
    from mrc_values import terraform_outputs
    from mrc_values.addons import addons
    from mrc_values.cluster import client, releases
    from mrc_values.cluster.volumes import create_missing

    for chart in (charts / "eks-addons", charts / "mpijob"):
        if not (chart / "Chart.yaml").is_file():
            raise UsageError(
                f"--charts {charts}: has no chart {chart.name}. Name the suite's directory charts."
            )
    built = terraform_outputs.read(from_terraform)
    planned = addons(built, charts, autoscaler_chart)
    objects = _claims(built, charts)
    if dry_run:
        result(_script(planned, objects, context, kubeconfig))
        return
    cluster = client.connect(context, kubeconfig)
    check_is_the_one(cluster, built, named=context is not None)
    helm = releases.helm(cluster, "default", kubeconfig)
    for addon in planned:
        there = replace(helm, namespace=addon.namespace)
        command = ("upgrade", "--install", addon.name, *addon.arguments)
        say(f"$ {there.command(*command)}")
        there.run(*command)
    for line in create_missing(cluster, objects):
        say(line)
    say("Ready. Next: mrc-values plan --from-terraform, as in docs/cloud.md.")


def _claims(built: "Built", charts: Path) -> list[dict[str, Any]]:
    """Volumes and claims for all file systems, in the namespace of the chart mpijob."""
    import yaml

    from mrc_values import built_planning, catalogue

    values = yaml.safe_load((charts / "mpijob" / "values.yaml").read_text())
    names = {name: "" for name, there in (("efs", built.efs), ("fsx", built.fsx)) if there}
    tables = catalogue.load(charts / "eks-addons")
    return built_planning.volumes(built, values["global"]["namespace"], names, tables)


def _script(
    planned: "list[Addon]", objects: Sequence[Mapping[str, Any]], context: str | None, kubeconfig: Path | None
) -> str:
    import yaml

    flags = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    helm = flags + ([f"--kube-context={context}"] if context else [])
    kubectl = flags + ([f"--context={context}"] if context else [])
    lines = [
        join(
            [
                "helm",
                "upgrade",
                "--install",
                addon.name,
                *addon.arguments,
                *helm,
                f"--namespace={addon.namespace}",
            ]
        )
        for addon in planned
    ]
    if objects:
        manifest = yaml.safe_dump_all(objects, sort_keys=False)
        lines.append(f"{join(['kubectl', 'apply', '--filename=-', *kubectl])} <<'END'\n{manifest}END")
    return "\n".join(lines)
