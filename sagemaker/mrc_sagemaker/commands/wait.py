"""mrc-sagemaker wait"""

from typing import Annotated

import typer
from mrc_cli.terminal import result

from mrc_sagemaker.api import POLL_SECONDS
from mrc_sagemaker.arguments import Region, Timeout
from mrc_sagemaker.training import DEFAULT_TIMEOUT


def wait(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the training job or endpoint.")],
    endpoint: Annotated[bool, typer.Option("--endpoint", help="NAME is an endpoint.")] = False,
    region: Region = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    poll: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Time between two requests.")
    ] = POLL_SECONDS,
) -> None:
    """Wait until a training job has completed or an endpoint is in service.

    A job that failed or was stopped, and an update of an endpoint that failed, end the command with exit
    code 1 and SageMaker's reason.

    Example: mrc-sagemaker wait maskrcnn --timeout 7200
    """
    from mrc_sagemaker import hosting, training
    from mrc_sagemaker.api import SageMaker

    api = SageMaker(region)
    if endpoint:
        hosting.wait(api, name, None, timeout, poll)
        result(f"{name}: InService")
    else:
        description = training.wait(api, name, timeout, poll)
        result(description.get("ModelArtifacts", {}).get("S3ModelArtifacts", name))
