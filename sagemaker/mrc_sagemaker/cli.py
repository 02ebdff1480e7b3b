"""mrc-sagemaker: the command line."""

from mrc_cli.application import application_of
from mrc_cli.command import run

from mrc_sagemaker import commands

HELP = "Train and host Mask R-CNN on SageMaker, from the values of the Helm charts."

app = application_of(commands.__name__, HELP)


def main() -> None:
    """The console script."""
    run("mrc-sagemaker", app)


if __name__ == "__main__":
    main()
