"""mrc-sagemaker: the command line."""

from mrc_cli.command import run
from mrc_values.cli import application

from mrc_sagemaker import commands

HELP = "Train and host Mask R-CNN on SageMaker, from the values of the Helm charts."

app = application(commands.__name__, HELP, add_completion=True)


def main() -> None:
    """The console script."""
    run("mrc-sagemaker", app)


if __name__ == "__main__":
    main()
