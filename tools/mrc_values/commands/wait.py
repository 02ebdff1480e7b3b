"""mrc-values wait"""

from typing import Annotated

import typer
from mrc_cli.errors import UsageError
from mrc_cli.terminal import say

from mrc_values.arguments import Context, Kubeconfig, Namespace


def wait(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release or of its MPIJob.")],
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

    Keeps waiting while the API server is unavailable for some minutes.

    Example: mrc-values wait maskrcnn --for running --timeout 900

    Exit code: 0 when the state is reached; 1 when the job failed or the timeout expired; 3 when the cluster
    cannot be reached or denies the request.
    """
    from mrc_values.change_printer import ChangePrinter
    from mrc_values.cluster import waiting
    from mrc_values.cluster.client import connect
    from mrc_values.cluster.objects import text
    from mrc_values.cluster.reading import find

    if until not in list(waiting.Goal):
        raise UsageError(f"--for {until}: unknown state. Use running or finished.")
    cluster = connect(context, kubeconfig)
    mpijob = find(cluster, name, namespace)
    with ChangePrinter() as printer:
        outcome, last = waiting.wait(
            cluster,
            text(mpijob, "metadata", "namespace"),
            text(mpijob, "metadata", "name"),
            waiting.Goal(until),
            timeout,
            printer.show,
        )
    if outcome is waiting.Outcome.TIMEOUT:
        say(f"mrc-values: {name}: not {until} after {timeout:g} s: {last.headline()}.")
    if outcome is not waiting.Outcome.REACHED:
        raise typer.Exit(1)
