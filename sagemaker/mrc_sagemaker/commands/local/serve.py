"""mrc-sagemaker local serve"""

import os
import sys
from typing import Annotated

import typer

from mrc_sagemaker.arguments import DIRECTORY, PORT, Directory


def serve(
    directory: Directory = DIRECTORY,
    port: Annotated[int, typer.Option(metavar="PORT", help="On 127.0.0.1; 0: any free one.")] = PORT,
) -> None:
    """Serve the model of a local training job as an endpoint does: /ping and /invocations.

    Example: mrc-sagemaker local serve
    """
    from mrc_sagemaker import local_job

    model = local_job.model(directory)
    # In place of this process, so that signals reach the server.
    os.execv(sys.executable, [sys.executable, "-m", "mrc_serve.cli", str(model), "--port", str(port)])  # noqa: S606
