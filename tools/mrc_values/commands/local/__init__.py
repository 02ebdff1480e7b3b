"""mrc-values local: run a release on this machine, one module for each command."""

import typer

from mrc_values.commands.local import down, logs, open, status, up

app = typer.Typer(
    help="Run the release that Helm renders as processes on this machine, without a cluster.",
    no_args_is_help=True,
)
app.command()(up.up)
app.command()(status.status)
app.command()(logs.logs)
app.command("open")(open.open_)
app.command()(down.down)
