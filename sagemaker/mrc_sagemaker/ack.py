"""Objects of ACK's SageMaker controller and the requests that it sends for them.

The fields of an object's spec are the members of the API's request in camel case, with the abbreviations in
capitals: ``s3URI`` is ``S3Uri``. Only the case differs, so that the API's description has all names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mrc_cli.errors import UserError

from mrc_sagemaker import service

API_VERSION = "sagemaker.services.k8s.aws/v1alpha1"

REGION = "services.k8s.aws/region"
"""Annotation with the region of an object."""

OPERATIONS = {
    "TrainingJob": "CreateTrainingJob",
    "Model": "CreateModel",
    "EndpointConfig": "CreateEndpointConfig",
    "Endpoint": "CreateEndpoint",
}
"""The operation that creates what a kind of object stands for, in the order in which they are created."""

NAMES = {kind: f"{kind}Name" for kind in OPERATIONS}
"""The member of the request that is the resource's name."""

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Resource:
    """Something to create on SageMaker: its kind, and the request that creates it."""

    kind: str
    request: dict[str, Any]

    @property
    def name(self) -> str:
        """The resource's name."""
        return str(self.request[NAMES[self.kind]])

    @property
    def operation(self) -> str:
        """The operation that creates it."""
        return OPERATIONS[self.kind]

    def problems(self) -> list[service.Problem]:
        """What SageMaker would reject."""
        return service.problems(self.operation, self.request)


def resource(item: Object) -> Resource:
    """The resource that an object stands for.

    Raises:
        UserError: for a field that the request does not have.
    """
    kind = item["kind"]
    where = f"{kind} {item['metadata']['name']}: spec"
    return Resource(kind, _members(service.shape(OPERATIONS[kind]), item["spec"], where))


def _members(shape: Any, value: Any, where: str) -> Any:
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {name.lower(): name for name in shape.members}
        for field in value:
            if field.lower() not in names:
                raise UserError(f"{where}.{field}: SageMaker's {shape.name} has no such field")
        return {
            names[field.lower()]: _members(shape.members[names[field.lower()]], inner, f"{where}.{field}")
            for field, inner in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_members(shape.member, item, f"{where}[{number}]") for number, item in enumerate(value)]
    return value
