"""mrc-images: the command line."""

import signal
import sys
from typing import Any

import typer
from mrc_cli.command import run

from mrc_images import commands

# Help is drawn for people and plain when it is piped.
_MARKUP: Any = "markdown" if sys.stdout.isatty() and sys.stderr.isatty() else None

app = typer.Typer(
    help="Build the container images of the charts and push them to ECR or another registry.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=_MARKUP,
)
app.command("list")(commands.list_)
app.command("build")(commands.build)
app.command("push")(commands.push)


def end_on_sigterm() -> None:
    """Let SIGTERM clean up as Ctrl-C does: the builder ends, and the file with the login is removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def main() -> None:
    """The console script."""
    end_on_sigterm()
    run("mrc-images", app)


if __name__ == "__main__":
    main()
