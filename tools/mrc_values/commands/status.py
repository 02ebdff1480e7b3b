"""mrc-values status"""

import json
from typing import Annotated

import typer

from mrc_values.arguments import Context, Format, Kubeconfig, Namespace


def status(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release, or of its MPIJob.")],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    format: Annotated[Format, typer.Option(help="json: one object, for programs.")] = Format.TEXT,
) -> None:
    """Show how far a training job is, and why it waits.

    Example: mrc-values status maskrcnn

    Exit code: 0, also for a job that has failed; 1 when there is no such job; 3 when the cluster cannot be
    reached or refuses.
    """
    from mrc_values.cluster.client import connect
    from mrc_values.cluster.reading import find
    from mrc_values.cluster.status import status_of

    cluster = connect(context, kubeconfig)
    found = status_of(cluster, find(cluster, name, namespace))
    if format is Format.JSON:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    from mrc_cli.terminal import table

    from mrc_values.runs import HEADER

    table(HEADER, [found.cells()])
    if rows := found.pod_rows():
        typer.echo()
        table(("pod", "state", "ready", "restarts", "node"), rows)
    typer.echo()
    for line in found.lines():
        typer.echo(line)
