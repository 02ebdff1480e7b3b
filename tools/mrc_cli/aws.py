"""The one door to AWS: clients with timeouts and retries, and errors as one line with what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mrc_cli.errors import ServiceError, UserError

CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
"""Seconds. A response is read in parts, so a long download does not reach the second."""

MAX_ATTEMPTS = 5
"""Of one request, with growing pauses: about 20 seconds of throttling are survived."""

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_KEY = {
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"}
_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_OTHER_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}


def client(service: str, region: str | None = None) -> Any:
    """A boto3 client, with credentials and settings from the usual places (environment, profile, role).

    Raises:
        UserError: when boto3 is not installed, or when there is no region.
        ServiceError: when the profile does not exist or its settings cannot be read.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, NoRegionError
    except ImportError:
        raise UserError("boto3 is not installed. Install the extra aws of mask-rcnn-on-kubernetes.") from None
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "max_attempts": MAX_ATTEMPTS},
        user_agent_extra="mask-rcnn-on-kubernetes",
    )
    try:
        return boto3.session.Session(region_name=region).client(service, config=config)
    except NoRegionError as error:
        raise UserError(_sentence(error, f"{service} client")) from None
    except (BotoCoreError, ValueError) as error:
        raise ServiceError(_sentence(error, f"{service} client")) from None


@contextmanager
def calling(action: str) -> Iterator[None]:
    """Turn errors of requests to AWS into a ServiceError.

    ``action`` is the permission that the requests need, such as ``ecr:CreateRepository``.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise ServiceError(_sentence(error, action)) from None


def _sentence(error: Exception, action: str) -> str:
    """What is wrong and what to do, in one line."""
    from botocore import exceptions as raised

    message = " ".join(str(error).split())
    if isinstance(error, raised.ClientError):
        # Before its first request, a profile with a role gets credentials by a request of its own.
        assumes = error.operation_name.startswith("AssumeRole") and "AssumeRole" not in action
        return _rejection(error.response, f"sts:{error.operation_name}" if assumes else action)
    if isinstance(error, raised.NoRegionError):
        return f"{action}: no AWS region is set. Set AWS_REGION, or name it on the command line."
    if isinstance(error, raised.ProfileNotFound):
        return f"{action}: {message}. Correct AWS_PROFILE."
    if isinstance(
        error, (raised.UnauthorizedSSOTokenError, raised.SSOTokenLoadError, raised.TokenRetrievalError)
    ):
        return f"{action}: the login to AWS has expired. Run: aws sso login"
    if isinstance(error, raised.NoCredentialsError):
        return f"{action}: no AWS credentials were found. Run aws configure, or set AWS_PROFILE."
    if isinstance(error, (raised.PartialCredentialsError, raised.CredentialRetrievalError)):
        return f"{action}: the AWS credentials cannot be used: {message}"
    if isinstance(error, (raised.HTTPClientError, raised.ConnectionError)):
        return f"{action}: AWS cannot be reached: {message} Check the network and the region."
    return f"{action}: {message}"


def _rejection(response: Any, action: str) -> str:
    error = response.get("Error", {})
    code, message = str(error.get("Code", "")), " ".join(str(error.get("Message", "")).split())
    if code in _EXPIRED:
        return f"{action}: the AWS credentials have expired. Log in again."
    if code in _UNKNOWN_KEY:
        return (
            f"{action}: AWS does not accept the credentials ({code}). Check the access key, AWS_PROFILE, "
            "this machine's clock, and that the account has enabled the region."
        )
    if code in _DENIED:
        return f"{action}: AWS denies it. Add this action to your policy. {message}".rstrip()
    if code in _THROTTLED:
        return f"{action}: AWS still limits the rate of requests after {MAX_ATTEMPTS} attempts. Try later."
    if code in _OTHER_REGION:
        region = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
        where = f" It is in {region}." if region else ""
        return f"{action}: this is in another region.{where} Set that region. {message}".rstrip()
    if code == "OptInRequired":
        return (
            f"{action}: the account has no subscription for this service or region. Enable it in the console."
        )
    return f"{action}: AWS answers {code or 'an error'}: {message}"
