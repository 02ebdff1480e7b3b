"""mrc-values upgrade"""

from typing import Annotated

import typer

from mrc_values.arguments import (
    Chart,
    ChartVersion,
    Context,
    DryRun,
    Given,
    Kubeconfig,
    Name,
    Namespace,
    Wait,
    chart_directory,
    takes_values,
)


@takes_values
def upgrade(
    name: Name,
    given: Given,
    chart: Chart = None,
    version: ChartVersion = None,
    end_runs: Annotated[
        list[str] | None,
        typer.Option("--end-run", metavar="JOB", help="Allow the upgrade to delete this live run."),
    ] = None,
    namespace: Namespace = None,
    wait: Wait = False,
    dry_run: DryRun = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Check the values and the cluster, show the changes, then upgrade a release.

    The release gets the given values and the chart's defaults, but none of its previous values. The settings
    of an existing run cannot be changed: set maskrcnn.run for a new run, or delete and install to resume. A
    new run replaces the old one; while that one is live, the upgrade requires --end-run.

    Example: mrc-values upgrade maskrcnn charts/maskrcnn -f values.yaml --set maskrcnn.run=b --end-run
    maskrcnn

    Exit code: 0 upgraded, 1 findings or no such release, 2 wrong usage, 3 the cluster could not be reached or
    denied a request.
    """
    from mrc_values.deployment import Deployment, deploy

    directory = chart_directory(chart, version)
    deploy(
        Deployment("upgrade", name, directory, given, namespace, context, kubeconfig, end_runs or []),
        wait=wait,
        dry_run=dry_run,
    )
