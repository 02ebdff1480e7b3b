"""Names on SageMaker that are taken, before something else than this tool creates resources with them."""

from collections.abc import Sequence

from mrc_sagemaker.ack import Resource
from mrc_sagemaker.api import SageMaker


def taken(api: SageMaker, wanted: Sequence[Resource]) -> list[str]:
    """A line for each resource whose name is taken, with what to do. Raises ServiceError."""
    lines = []
    for resource in wanted:
        existing = api.find(resource.kind, resource.name)
        if existing is None:
            continue
        what = f"{resource.kind} {resource.name} already exists in {api.region}"
        if resource.kind == "TrainingJob":
            status = existing["TrainingJobStatus"]
            fix = "the name of a training job is never free again. Set maskrcnn.run for another run"
            lines.append(f"{what} ({status}), and {fix}")
        else:
            lines.append(f"{what}. Set sagemaker.endpoint.name, or delete it: {_deletion(resource)}")
    return lines


def _deletion(resource: Resource) -> str:
    if resource.kind == "Endpoint":
        return f"mrc-sagemaker delete {resource.name}"
    kinds = {"Model": "model", "EndpointConfig": "endpoint-config"}
    kind = kinds[resource.kind]
    return f"aws sagemaker delete-{kind} --{kind}-name {resource.name}"
