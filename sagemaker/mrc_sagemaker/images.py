"""Images in ECR, which SageMaker pulls only minutes after it has accepted a request."""

import re

from mrc_cli.aws import calling, client
from mrc_cli.errors import UserError
from mrc_cli.terminal import say
from mrc_images.ecr_address import REGISTRY

_REFERENCE = re.compile(REGISTRY.pattern + r"(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>.+))?$")


def check(reference: str) -> None:
    """Ask ECR for an image. Who may not ask is told so, and continues.

    Raises:
        UserError: when the repository or the image does not exist.
        ServiceError: when AWS cannot be reached.
    """
    match = _REFERENCE.match(reference)
    if match is None:
        return  # not in ECR, which rule MRC166 reports
    tag = {"imageTag": match["tag"] or "latest"}
    identity = {"imageDigest": match["digest"]} if match["digest"] else tag
    ecr = client("ecr", match["region"])

    from botocore.exceptions import ClientError

    with calling("ecr:DescribeImages"):
        try:
            ecr.describe_images(
                registryId=match["account"], repositoryName=match["repository"], imageIds=[identity]
            )
        except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
            raise UserError(
                f"image {reference} not found in ECR; SageMaker could not start it. Push it with mrc-images"
            ) from None
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            say(f"mrc-sagemaker: {reference} was not looked up: AWS denies ecr:DescribeImages")
