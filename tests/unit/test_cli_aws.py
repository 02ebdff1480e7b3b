"""Errors of AWS are one line with what to do; clients read the usual settings."""

import socket
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    NoCredentialsError,
    SSOTokenLoadError,
)
from mrc_cli import aws
from mrc_cli.errors import ServiceError, UserError


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine's user."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def rejection(code: str, **response: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said\nmore"}, **response}, "CreateRepository")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NoCredentialsError(), "no AWS credentials were found"),
        (SSOTokenLoadError(error_msg="gone"), "aws sso login"),
        (rejection("ExpiredTokenException"), "have expired. Log in again"),
        (rejection("UnrecognizedClientException"), "does not accept the credentials"),
        (rejection("AccessDeniedException"), "ecr:CreateRepository: AWS denies it. Add this action"),
        (rejection("ThrottlingException"), "limits the rate"),
        (
            rejection(
                "PermanentRedirect",
                ResponseMetadata={"HTTPHeaders": {"x-amz-bucket-region": "eu-west-1"}},
            ),
            "It is in eu-west-1",
        ),
        (rejection("LimitExceededException"), "AWS answers LimitExceededException: said more"),
    ],
)
def test_an_error_names_the_action_and_what_to_do(error: Exception, words: str) -> None:
    with pytest.raises(ServiceError) as raised, aws.calling("ecr:CreateRepository"):
        raise error
    assert raised.value.exit_code == 3
    assert str(raised.value).startswith("ecr:CreateRepository: ")
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), aws.calling("ecr:CreateRepository"):
        raise KeyError


def test_a_client_without_a_region_is_an_error() -> None:
    with pytest.raises(UserError, match="AWS_REGION"):
        aws.client("ecr")


def test_a_profile_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(UserError, match=r"missing.*Correct AWS_PROFILE"):
        aws.client("ecr", "us-west-2")


def test_an_endpoint_that_nobody_listens_on_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setattr(aws, "MAX_ATTEMPTS", 1)
        ecr = aws.client("ecr", "us-west-2")
        with pytest.raises(ServiceError, match="cannot be reached") as raised, aws.calling("ecr:Describe"):
            ecr.describe_repositories()
    assert "\n" not in str(raised.value)
