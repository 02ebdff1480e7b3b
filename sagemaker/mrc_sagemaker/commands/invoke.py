"""mrc-sagemaker invoke"""

from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.errors import UserError
from mrc_cli.terminal import result

from mrc_sagemaker.arguments import Endpoint, Region

MAX_BODY = 6_291_456
"""Bytes; InvokeEndpoint's limit in botocore's description."""

TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".npy": "application/x-npy"}


def invoke(
    endpoint: Endpoint,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="JPEG, PNG or npy file.")],
    region: Region = None,
) -> None:
    """Detect in an image with an endpoint; prints its answer, JSON.

    Example: mrc-sagemaker invoke maskrcnn image.jpg
    """
    from mrc_cli.aws import calling, client

    kind = TYPES.get(image.suffix.lower())
    if kind is None:
        raise UserError(f"{image}: not an image that an endpoint takes; use {', '.join(TYPES)}")
    data = image.read_bytes()
    if len(data) > MAX_BODY:
        raise UserError(
            f"{image}: {len(data)} bytes, but an endpoint takes at most {MAX_BODY}. Scale it down, or use an "
            "asynchronous endpoint (sagemaker.endpoint.async_output_s3_uri)"
        )
    runtime = client("sagemaker-runtime", region)
    with calling("sagemaker:InvokeEndpoint"):
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType=kind, Accept="application/json", Body=data
        )
        result(answer["Body"].read().decode())
