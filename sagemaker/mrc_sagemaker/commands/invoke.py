"""mrc-sagemaker invoke"""

from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.terminal import result

from mrc_sagemaker.arguments import Endpoint, Region


def invoke(
    endpoint: Endpoint,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="JPEG, PNG or npy file.")],
    region: Region = None,
) -> None:
    """Detect the objects in an image with an endpoint; print its answer, JSON.

    Example: mrc-sagemaker invoke maskrcnn image.jpg
    """
    from mrc_cli.aws import calling, client

    from mrc_sagemaker import requests

    data, kind = requests.body(image)
    runtime = client("sagemaker-runtime", region)
    with calling("sagemaker:InvokeEndpoint"):
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType=kind, Accept="application/json", Body=data
        )
        result(answer["Body"].read().decode())
