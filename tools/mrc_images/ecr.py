"""Amazon ECR: the login, and a repository for each name."""

from typing import Any
from urllib.parse import urlsplit

from mrc_cli import aws
from mrc_cli.terminal import say

from mrc_images.registry import Registry


def registry(client: Any) -> Registry:
    """The account's registry, with a token that is valid for 12 hours. Raises ServiceError."""
    with aws.calling("ecr:GetAuthorizationToken"):
        data = client.get_authorization_token()["authorizationData"][0]
    endpoint = urlsplit(data["proxyEndpoint"])
    return Registry(endpoint.netloc, data["authorizationToken"], endpoint.scheme == "http")


def provide(client: Any, repository: str) -> str:
    """Create the repository if it does not exist: tags cannot be moved, and each push is scanned.

    Returns:
        Its address, which the charts pull from.

    Raises:
        ServiceError: when AWS cannot be reached or denies the request.
    """
    with aws.calling("ecr:DescribeRepositories"):
        try:
            description = client.describe_repositories(repositoryNames=[repository])["repositories"][0]
        except client.exceptions.RepositoryNotFoundException:
            description = None
    if description is None:
        with aws.calling("ecr:CreateRepository"):
            description = client.create_repository(
                repositoryName=repository,
                imageTagMutability="IMMUTABLE",
                imageScanningConfiguration={"scanOnPush": True},
            )["repository"]
        say(f"{repository}: created in ECR, with immutable tags and a scan of each push")
    elif description.get("imageTagMutability") == "MUTABLE":
        say(f"{repository}: already exists, with tags that can be moved. The values have digests.")
    return str(description["repositoryUri"])
