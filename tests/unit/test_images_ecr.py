"""ECR's repositories and login, against moto's server of the AWS API."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from aws_in_moto import empty_aws
from botocore.stub import Stubber
from mrc_cli import aws
from mrc_cli.errors import ServiceError
from mrc_images import ecr


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with empty_aws() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield aws.client("ecr", "us-west-2")


def test_a_repository_is_created_once_with_immutable_tags_and_scans(
    client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    address = ecr.provide(client, "mask-rcnn")
    assert "created in ECR" in capsys.readouterr().err
    assert ecr.provide(client, "mask-rcnn") == address
    assert capsys.readouterr().err == ""
    (repository,) = client.describe_repositories()["repositories"]
    assert repository["repositoryUri"] == address
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"]["scanOnPush"] is True


def test_tags_that_can_be_moved_are_reported(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    client.create_repository(repositoryName="mask-rcnn")
    ecr.provide(client, "mask-rcnn")
    assert "tags that can be moved" in capsys.readouterr().err


def test_the_login_is_the_accounts_token(client: Any) -> None:
    registry = ecr.registry(client)
    assert registry.host.endswith(".dkr.ecr.us-west-2.amazonaws.com") and not registry.insecure
    assert base64.b64decode(registry.login).startswith(b"AWS:")


def test_a_permission_that_lacks_is_named(client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("describe_repositories", "RepositoryNotFoundException")
        stub.add_client_error("create_repository", "AccessDeniedException", "User is not authorized")
        with pytest.raises(ServiceError, match=r"^ecr:CreateRepository: AWS denies it"):
            ecr.provide(client, "mask-rcnn")
