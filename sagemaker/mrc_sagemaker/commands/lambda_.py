"""mrc-sagemaker lambda"""

from typing import Annotated

import typer
from mrc_cli.errors import UsageError
from mrc_cli.terminal import result

from mrc_sagemaker.arguments import Region


def lambda_(
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="Name of the Lambda function.")],
    endpoint: Annotated[str, typer.Option(metavar="NAME", help="Endpoint that detects the objects.")],
    input_bucket: Annotated[str, typer.Option(metavar="BUCKET", help="Bucket in which images arrive.")],
    output_bucket: Annotated[str, typer.Option(metavar="BUCKET", help="Bucket for the detections.")],
    role: Annotated[str, typer.Option(metavar="ARN", help="Role of the function.")],
    async_endpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Asynchronous endpoint for images of more than 6 MiB.")
    ] = "",
    region: Region = None,
) -> None:
    """Create or update a Lambda function that detects the objects in each image that arrives in a bucket.

    Example: mrc-sagemaker lambda detect --endpoint maskrcnn --input-bucket images --output-bucket detections
    --role arn:aws:iam::123456789012:role/Detect
    """
    from mrc_sagemaker import lambda_function

    if input_bucket == output_bucket:
        raise UsageError(
            f"--output-bucket is the input bucket {input_bucket}: each answer would start the function"
        )
    environment = {"ENDPOINT": endpoint, "OUTPUT_BUCKET": output_bucket}
    if async_endpoint:
        environment["ASYNC_ENDPOINT"] = async_endpoint
    result(lambda_function.install(function, role, environment, input_bucket, region))
