"""mrc-values status"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.terminal import result, table

from mrc_values.arguments import Context, Format, Kubeconfig, Namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mrc_values.cluster.sagemaker import Part
    from mrc_values.cluster.staging import Status


def status(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release or of its job.")],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    format: Annotated[
        Format, typer.Option(help="Output format; json: one object, for programs.")
    ] = Format.TEXT,
) -> None:
    """Show the progress of a training job, and why it is waiting; also of one on SageMaker
    through ACK, and of a job of the chart stage-data.

    Example: mrc-values status maskrcnn

    Exit code: 0, also for a failed job; 1 when the job does not exist; 3 when the cluster cannot be reached
    or denies the request.
    """
    from mrc_values.cluster import sagemaker, staging
    from mrc_values.cluster.client import connect
    from mrc_values.cluster.reading import JobNotFound, find
    from mrc_values.cluster.status import status_of
    from mrc_values.runs import HEADER

    cluster = connect(context, kubeconfig)
    try:
        mpijob = find(cluster, name, namespace)
    except JobNotFound:
        if staged := staging.find(cluster, name, namespace):
            _show_staging(staging.status_of(cluster, staged), format)
            return
        items = sagemaker.find(cluster, name, namespace)
        if not items:
            raise
        _show_on_sagemaker(sagemaker.parts(items), format)
        return
    job_status = status_of(cluster, mpijob)
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


def _show_on_sagemaker(parts: "Sequence[Part]", format: Format) -> None:
    from mrc_values.cluster import sagemaker

    if format is Format.JSON:
        state = sagemaker.overall(parts)
        result(json.dumps({"state": state, "objects": [asdict(part) for part in parts]}, indent=2))
        return
    table(
        ("kind", "name", "state", "SageMaker"),
        [(part.kind, part.name, part.state, part.reported) for part in parts],
    )
    result("")
    for part in parts:
        for reason in part.reasons:
            result(f"why: {reason}")
        if part.model:
            result(f"model: {part.model}")


def _show_staging(staging_status: "Status", format: Format) -> None:
    if format is Format.JSON:
        result(json.dumps(staging_status.to_json(), indent=2))
        return
    table(staging_status.HEADER, [staging_status.cells()])
    if rows := staging_status.pod_rows():
        result("")
        table(("pod", "state", "node", "last line"), rows)
    result("")
    for line in staging_status.lines():
        result(line)
