"""mrc-values: the command line."""

import os
import sys

import typer

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
from mrc_values.errors import ToolError

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
    """Runs the command; an error that the user can act on is one line on stderr."""
    try:
        app()
    except ToolError as error:
        typer.echo(f"mrc-values: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output is gone; without this Python would complain while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"mrc-values: {where}{(error.strerror or str(error)).lower()}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
