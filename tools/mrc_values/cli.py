"""mrc-values: the command line."""

import sys

import typer
from mrc_cli.command import run

from mrc_values.commands import (
    delete,
    explain,
    install,
    list_,
    local,
    logs,
    new,
    nodegroups,
    open,
    plan,
    status,
    validate,
    wait,
)

app = typer.Typer(
    help="Values of the Mask R-CNN charts: find the mistake before a GPU node starts, and run them here.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown" if sys.stdout.isatty() and sys.stderr.isatty() else None,
)
app.command()(validate.validate)
app.command()(explain.rules)
app.command()(explain.explain)
app.command("node-groups")(nodegroups.node_groups)
app.command()(new.new)
app.command()(plan.plan)
app.command()(install.install)
app.command()(install.upgrade)
app.command()(delete.delete)
app.command("list")(list_.list_)
app.command()(status.status)
app.command()(logs.logs)
app.command("open")(open.open_)
app.command()(wait.wait)
app.add_typer(local.app, name="local")


def main() -> None:
    """The console script."""
    run("mrc-values", app)


if __name__ == "__main__":
    main()
