"""mrc-values: the command line."""

from mrc_cli.application import application_of
from mrc_cli.command import run

from mrc_values import commands

HELP = "Check the values of the Mask R-CNN charts before a GPU node starts, install releases and watch them."

app = application_of(commands.__name__, HELP)


def main() -> None:
    """The console script."""
    run("mrc-values", app)


if __name__ == "__main__":
    main()
