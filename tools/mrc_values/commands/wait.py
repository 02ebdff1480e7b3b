"""mrc-values wait"""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrc_values.arguments import Context, Kubeconfig, Namespace

if TYPE_CHECKING:
    from mrc_values.cluster.waiting import Look


def wait(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release, or of its MPIJob.")],
    until: Annotated[str, typer.Option("--for", metavar="STATE", help="running or finished.")] = "finished",
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="How long at most. [default: for ever]")
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Wait until a job runs or has finished; say what changes, and why it waits.

    Goes on when the API server is away for some minutes.

    Example: mrc-values wait maskrcnn --for running --timeout 900

    Exit code: 0 when the job is there; 1 when it failed or the time was over; 3 when the cluster cannot be
    reached or refuses.
    """
    from mrc_cli.errors import UsageError

    from mrc_values.cluster import waiting
    from mrc_values.cluster.client import connect
    from mrc_values.cluster.objects import text
    from mrc_values.cluster.reading import find

    if until not in list(waiting.Goal):
        raise UsageError(f"--for {until}: there is no such state. Give running or finished.")
    cluster = connect(context, kubeconfig)
    mpijob = find(cluster, name, namespace)
    with Teller() as teller:
        outcome, look = waiting.wait(
            cluster,
            text(mpijob, "metadata", "namespace"),
            text(mpijob, "metadata", "name"),
            waiting.Goal(until),
            timeout,
            teller.show,
        )
    if outcome is waiting.Outcome.TIMEOUT:
        typer.echo(f"mrc-values: {name}: not {until} after {timeout:g} s: {look.headline()}.", err=True)
    if outcome is not waiting.Outcome.REACHED:
        raise typer.Exit(1)


class Teller:
    """Tells each change once: plain lines; on a terminal a live line under them."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._began = time.monotonic()
        self._live: Any = None

    def __enter__(self) -> "Teller":
        if sys.stdout.isatty():
            from rich.console import Console

            self._live = Console().status("")
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, look: "Look") -> None:
        """Takes what one look at the job saw."""
        from mrc_cli.terminal import clock
        from rich.markup import escape

        lines = look.lines()
        if lines != self._told:
            self._told = lines
            for line in lines:
                # Above the live line, and whole: no wrapping, no markup.
                print(line, flush=True) if not self._live else self._live.console.print(
                    line, markup=False, highlight=False, soft_wrap=True
                )
        if self._live:
            elapsed = clock(time.monotonic() - self._began)
            self._live.update(f"{escape(look.headline())}  {elapsed}")
