"""mrc-values status"""

import json
from typing import Annotated

import typer
from mrc_cli.terminal import result, table

from mrc_values.arguments import Context, Format, Kubeconfig, Namespace


def status(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release or of its MPIJob.")],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    format: Annotated[
        Format, typer.Option(help="Output format; json: one object, for programs.")
    ] = Format.TEXT,
) -> None:
    """Show the progress of a training job, and why it is waiting.

    Example: mrc-values status maskrcnn

    Exit code: 0, also for a failed job; 1 when the job does not exist; 3 when the cluster cannot be reached
    or denies the request.
    """
    from mrc_values.cluster.client import connect
    from mrc_values.cluster.reading import find
    from mrc_values.cluster.status import status_of
    from mrc_values.runs import HEADER

    cluster = connect(context, kubeconfig)
    job_status = status_of(cluster, find(cluster, name, namespace))
    if format is Format.JSON:
        result(json.dumps(job_status.to_json(), indent=2))
        return
    table(HEADER, [job_status.cells()])
    if rows := job_status.pod_rows():
        result("")
        table(("pod", "state", "ready", "restarts", "node"), rows)
    result("")
    for line in job_status.lines():
        result(line)
