"""mrc-images: the command line."""

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


def main() -> None:
    """The console script."""
    run("mrc-images", app)


if __name__ == "__main__":
    main()
