"""mrc-values upgrade"""

from typing import Annotated

import typer

from mrc_values.arguments import (
    Chart,
    Context,
    DryRun,
    Kubeconfig,
    Name,
    Namespace,
    SetFiles,
    SetJsons,
    Sets,
    SetStrings,
    ValuesFiles,
    Wait,
    chart_directory,
    flags,
)


def upgrade(
    name: Name,
    chart: Chart = None,
    values: ValuesFiles = None,
    sets: Sets = None,
    set_string: SetStrings = None,
    set_file: SetFiles = None,
    set_json: SetJsons = None,
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

    directory = chart_directory(chart)
    settings = flags(sets, set_string, set_file, set_json)
    deploy(
        Deployment(
            "upgrade",
            name,
            directory,
            values or [],
            settings,
            namespace,
            context,
            kubeconfig,
            end_runs or [],
        ),
        wait=wait,
        dry_run=dry_run,
    )
