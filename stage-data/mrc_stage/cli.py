"""mrc-stage: the command line."""

import signal
import sys
from typing import Any

import typer
from mrc_cli.command import run

from mrc_stage import commands

# Help is drawn for people and plain when it is piped.
_MARKUP: Any = "markdown" if sys.stdout.isatty() and sys.stderr.isatty() else None

app = typer.Typer(
    help="Stage a data set: into a bucket, and from there onto a shared file system.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=_MARKUP,
)
app.command("prepare")(commands.prepare)
app.command("stage")(commands.stage)
app.command("verify")(commands.verify)
app.command("status")(commands.status)


def main() -> None:
    """The console script."""
    # A pod that is deleted gets SIGTERM: note what is complete, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run("mrc-stage", app)


if __name__ == "__main__":
    main()
