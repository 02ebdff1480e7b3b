"""Endpoints: create or update, the state, and everything that belongs to one."""

from typing import Any

from mrc_cli.errors import UserError
from mrc_cli.terminal import say

from mrc_sagemaker.ack import Resource
from mrc_sagemaker.api import POLL_SECONDS, SageMaker, poll

DEFAULT_TIMEOUT = 3600.0
"""Seconds; an endpoint that is still created after an hour has a problem (amazon-sagemaker-examples 3432)."""

_HASHED = "Its name has a hash of its settings, so it was changed by something else; delete it first."


def ensure(api: SageMaker, resources: list[Resource]) -> str:
    """Create what does not exist, or update the endpoint to another configuration; the endpoint's name.

    Raises:
        UserError: while the endpoint changes, and when a resource exists with other settings.
    """
    *parts, endpoint = resources
    existing = api.find("Endpoint", endpoint.name)
    wanted = endpoint.request["EndpointConfigName"]
    status = existing["EndpointStatus"] if existing else ""
    if existing and status in ("Creating", "Updating") and existing["EndpointConfigName"] == wanted:
        say(f"mrc-sagemaker: endpoint {endpoint.name} is {status} with these settings")
        return endpoint.name
    if status in ("Creating", "Updating", "Deleting", "RollingBack"):
        raise UserError(
            f"endpoint {endpoint.name} is {status}. Wait for it: mrc-sagemaker wait "
            f"{endpoint.name} --endpoint"
        )
    ensure_parts(api, parts)
    if existing is None:
        api.ensure(endpoint, "")
    elif existing["EndpointStatus"] == "Failed":
        raise UserError(
            f"endpoint {endpoint.name} failed: {existing.get('FailureReason', 'no reason given')} "
            f"Delete it and try again: mrc-sagemaker delete {endpoint.name}"
        )
    elif existing["EndpointConfigName"] != wanted:
        api.call("UpdateEndpoint", EndpointName=endpoint.name, EndpointConfigName=wanted)
    return endpoint.name


def ensure_parts(api: SageMaker, parts: list[Resource]) -> None:
    """Create the model and the endpoint configuration that do not exist, in this order.

    Raises:
        UserError: when one exists with other settings.
    """
    for part in parts:
        api.ensure(part, _HASHED)


def wait(
    api: SageMaker, name: str, wanted: str | None, timeout: float, seconds: float = POLL_SECONDS
) -> dict[str, Any]:
    """Wait until an endpoint is in service; its description.

    Args:
        wanted: name of the configuration that it is to serve. SageMaker calls an endpoint InService after a
            failed update too, with the old configuration and a reason (terraform-provider-aws 39099).

    Raises:
        UserError: when it failed, and when it does not serve in time.
    """
    description: dict[str, Any] = {}
    logs = f"aws logs tail /aws/sagemaker/Endpoints/{name}"

    def now() -> str | None:
        nonlocal description
        current = api.find("Endpoint", name)
        if current is None:
            raise UserError(f"endpoint {name} not found in {api.region}")
        description = current
        status = current["EndpointStatus"]
        return (
            None if status in ("InService", "Failed", "OutOfService", "UpdateRollbackFailed") else str(status)
        )

    poll(now, timeout, f"endpoint {name}", logs, seconds)
    reason = description.get("FailureReason", "")
    status = description["EndpointStatus"]
    if status != "InService":
        raise UserError(f"endpoint {name} is {status}: {reason or 'no reason given'} Look at: {logs}")
    if reason or (wanted and description["EndpointConfigName"] != wanted):
        raise UserError(
            f"the update of endpoint {name} failed; it serves {description['EndpointConfigName']} as before: "
            f"{reason or 'no reason given'} Look at: {logs}"
        )
    return description


def delete(api: SageMaker, name: str) -> list[str]:
    """Delete an endpoint, its configuration and its models; what was deleted, nothing if all is gone."""
    gone: list[str] = []
    endpoint = api.find("Endpoint", name)
    if endpoint is None:
        return gone
    config_name = endpoint["EndpointConfigName"]
    config = api.find("EndpointConfig", config_name)
    api.call("DeleteEndpoint", EndpointName=name)
    gone.append(f"Endpoint {name}")
    if config:
        api.call("DeleteEndpointConfig", EndpointConfigName=config_name)
        gone.append(f"EndpointConfig {config_name}")
        for model in sorted({variant["ModelName"] for variant in config["ProductionVariants"]}):
            if api.find("Model", model):
                api.call("DeleteModel", ModelName=model)
                gone.append(f"Model {model}")
    return gone
