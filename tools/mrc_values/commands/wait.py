"""mrc-values wait"""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import UsageError
from mrc_cli.terminal import say

from mrc_values.arguments import Context, Kubeconfig, Namespace

if TYPE_CHECKING:
    from collections.abc import Callable

    from mrc_values.cluster.client import Cluster
    from mrc_values.cluster.waiting import Observation


def wait(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release or of its job.")],
    until: Annotated[str, typer.Option("--for", metavar="STATE", help="running or finished.")] = "finished",
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Maximum time to wait. [default: no timeout]"),
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Wait until a job is running or has finished; print every change and why the job is waiting.

    Of a release of the chart sagemaker, waits for the training job, and for the endpoint if it has one: a job
    that failed or was stopped, and an endpoint whose update failed, are failures. Of one of stage-data, for
    all shards.

    Keeps waiting while the API server is unavailable for some minutes.

    Example: mrc-values wait maskrcnn --for running --timeout 900

    Exit code: 0 when the state is reached; 1 when the job failed or the timeout expired; 3 when the cluster
    cannot be reached or denies the request.
    """
    from mrc_values.change_printer import ChangePrinter
    from mrc_values.cluster import waiting
    from mrc_values.cluster.client import connect

    if until not in list(waiting.Goal):
        raise UsageError(f"--for {until}: unknown state. Use running or finished.")
    cluster = connect(context, kubeconfig)
    observe = _observer(cluster, name, namespace)
    with ChangePrinter() as printer:
        outcome, last = waiting.wait(observe, waiting.Goal(until), timeout, printer.show)
    if outcome is waiting.Outcome.TIMEOUT:
        say(f"mrc-values: {name}: not {until} after {timeout:g} s: {last.headline()}.")
    if outcome is not waiting.Outcome.REACHED:
        raise typer.Exit(1)


def _observer(cluster: "Cluster", name: str, namespace: str | None) -> "Callable[[], Observation]":
    """What observes the MPIJob of this name, or what the chart stage-data or sagemaker has created."""
    from mrc_values.cluster import reading, sagemaker, staging, waiting
    from mrc_values.cluster.objects import text

    try:
        job = reading.find(cluster, name, namespace)
    except reading.JobNotFound:
        if staged := staging.find(cluster, name, namespace):
            return partial(
                staging.observe,
                cluster,
                text(staged, "metadata", "namespace"),
                text(staged, "metadata", "name"),
            )
        items = sagemaker.find(cluster, name, namespace)
        if not items:
            raise
        return lambda: sagemaker.observation(sagemaker.parts(sagemaker.read(cluster, items)))
    title = text(job, "metadata", "name")
    return partial(waiting.mpijob, cluster, text(job, "metadata", "namespace"), title)
