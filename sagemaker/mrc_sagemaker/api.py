"""Requests to SageMaker: what exists, what differs, create, and wait for an end."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mrc_cli.aws import calling, client
from mrc_cli.errors import UserError
from mrc_cli.terminal import say

from mrc_sagemaker.ack import NAMES, Resource

POLL_SECONDS = 15.0

_NOT_FOUND = ("Requested resource not found", "Could not find", "does not exist")
"""SageMaker has no error code of its own for what does not exist, only these texts."""

_SECRET = "HyperParameters.mrc_job_token"  # noqa: S105


class SageMaker:
    """The API in one region."""

    def __init__(self, region: str | None) -> None:
        self._client = client("sagemaker", region)
        self.region = str(self._client.meta.region_name)

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """Send a request. Raises ServiceError."""
        with calling(f"sagemaker:{operation}"):
            return self._send(operation, members)

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """The description of a resource; None if it does not exist. Raises ServiceError."""
        from botocore.exceptions import ClientError

        operation = f"Describe{kind}"
        with calling(f"sagemaker:{operation}"):
            try:
                return self._send(operation, {NAMES[kind]: name})
            except ClientError as error:
                if any(text in error.response["Error"].get("Message", "") for text in _NOT_FOUND):
                    return None
                raise

    def ensure(self, resource: Resource, change: str) -> bool:
        """Create a resource unless it exists; whether it was created.

        Args:
            change: what to do when it exists with other settings.

        Raises:
            UserError: when it exists with other settings, with all of them.
        """
        existing = self.find(resource.kind, resource.name)
        if existing is None:
            self.call(resource.operation, **resource.request)
            say(f"mrc-sagemaker: created {resource.kind} {resource.name}")
            return True
        different = list(differences(resource.request, existing))
        if different:
            raise UserError(
                f"{resource.kind} {resource.name} already exists with other settings: "
                f"{'; '.join(different)}. {change}"
            )
        say(f"mrc-sagemaker: {resource.kind} {resource.name} already exists with these settings")
        return False

    def _send(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        from botocore import xform_name

        answer: dict[str, Any] = getattr(self._client, xform_name(operation))(**members)
        return answer


def differences(wanted: Any, existing: Any, path: str = "") -> Iterator[str]:
    """What a description has other than the request that is to create it; additional members do not count.

    The secret of a job's hosts differs each time. Tags are not part of a description.
    """
    if path in (_SECRET, "Tags"):
        return
    if isinstance(wanted, dict) and isinstance(existing, dict):
        prefix = f"{path}." if path else ""
        for name, inner in wanted.items():
            yield from differences(inner, existing.get(name), f"{prefix}{name}")
        if path in ("HyperParameters", "Environment"):
            yield from (f"{prefix}{name} is set there" for name in existing.keys() - wanted.keys())
    elif isinstance(wanted, list) and isinstance(existing, list) and len(wanted) == len(existing):
        for number, (one, other) in enumerate(zip(wanted, existing, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif wanted != existing:
        yield f"{path} is {existing}, not {wanted}"


def poll(
    state: Callable[[], str | None],
    timeout: float,
    what: str,
    next_command: str,
    seconds: float = POLL_SECONDS,
) -> str:
    """Ask for a state until it is final; each new one is reported.

    Args:
        state: a line about the state, None once it is final.

    Raises:
        UserError: after ``timeout`` seconds, with the last state and the command that tells more.
    """
    deadline = time.monotonic() + timeout
    last = ""
    while (now := state()) is not None:
        if now != last:
            say(f"mrc-sagemaker: {what}: {now}")
            last = now
        if time.monotonic() > deadline:
            raise UserError(f"{what} is still {last} after {timeout:.0f} s. Look at: {next_command}")
        time.sleep(min(seconds, max(0.1, deadline - time.monotonic())))
    return last
