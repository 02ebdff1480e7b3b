"""CustomResourceDefinitions of the shape of ACK's SageMaker controller, made from botocore's description.

ACK generates its own from the same description: the members of the request that creates a resource are the
spec, in camel case with abbreviations in capitals, and those of the answer that describes it are the status.
Like ACK's, they have types and required members, but no lengths and patterns. The specs have exactly the
fields of ACK's own definitions of August 2026, with which they were compared, apart from a source in a hub.
"""

import re
from typing import Any

from mrc_sagemaker import service
from mrc_sagemaker.ack import API_VERSION, OPERATIONS

Schema = dict[str, Any]

GROUP, VERSION = API_VERSION.split("/")

_ABBREVIATIONS = {
    "Arn": "ARN",
    "Arns": "ARNs",
    "Id": "ID",
    "Ids": "IDs",
    "Kms": "KMS",
    "Uri": "URI",
    "Url": "URL",
}

_TYPES = {
    "string": "string",
    "boolean": "boolean",
    "integer": "integer",
    "long": "integer",
    "double": "number",
}
_TYPES |= {"float": "number", "timestamp": "string", "blob": "string"}

_NEWER_THAN_ACK = {
    *(
        "AcceleratorPartitionLayouts",
        "AdditionalModelDataSources",
        "ContainerArguments",
        "ContainerEntrypoint",
    ),
    *("ContainerMetricsConfig", "CrossRegionTrafficConfig", "DatasetSource", "DisableProfiler", "ETag"),
    *("ExplainerConfig", "HubAccessConfig", "InferenceAmiVersion", "InstancePools", "InstancePreferences"),
    *("ManifestEtag", "ManifestS3Uri", "MetricsConfig", "MlflowConfig", "ModelPackageConfig"),
    *(
        "PrefixAwareRoutingConfig",
        "RunName",
        "ScaleInPolicy",
        "SelectedInstanceCount",
        "SelectedInstanceType",
    ),
    *("ServerlessJobConfig", "SessionChainingConfig", "ShadowProductionVariants", "TrainingImageConfig"),
    *("TrainingPlanArn", "VariantInstanceProvisionTimeoutInSeconds"),
}
"""Members that ACK leaves out."""

_ALSO_REQUIRED = {"TrainingJob": ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition")}
"""Members that ACK requires, but the request no longer does."""

_PLURALS = {kind: f"{kind.lower()}s" for kind in OPERATIONS}


def definitions() -> list[Schema]:
    """The definitions of all kinds that the chart creates."""
    return [_definition(kind) for kind in OPERATIONS]


def field(member: str) -> str:
    """The field of an object for a member of a request: ``S3Uri`` is ``s3URI``."""
    words = re.findall(r"[A-Z0-9]+(?![a-z])|[A-Z0-9][a-z0-9]*", member)
    first, *rest = (_ABBREVIATIONS.get(word, word) for word in words)
    name = first.lower() + "".join(rest)
    return "type_" if name == "type" else name  # a word of Go


def _definition(kind: str) -> Schema:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    described = service.model().operation_model(f"Describe{kind}").output_shape
    request = service.shape(OPERATIONS[kind])
    required = (*request.required_members, *_ALSO_REQUIRED.get(kind, ()))
    spec = _schema(request, ()) | {"required": [field(name) for name in required]}
    status = {field(name): _schema(shape, ()) for name, shape in described.members.items()}
    status = {name: schema for name, schema in status.items() if name not in spec["properties"]}
    status |= {"conditions": {"type": "array", "items": anything}, "ackResourceMetadata": anything}
    properties = {"spec": spec, "status": {"type": "object", "properties": status}}
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
    }
    plural = _PLURALS[kind]
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _schema(shape: Any, above: tuple[str, ...]) -> Schema:
    """The schema of a shape; ``above`` has the structures that contain it, which may contain themselves."""
    if shape.type_name == "structure":
        if shape.name in above:
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        inner = (*above, shape.name)
        members = {name: member for name, member in shape.members.items() if name not in _NEWER_THAN_ACK}
        properties = {field(name): _schema(member, inner) for name, member in members.items()}
        return {"type": "object", "properties": properties}
    if shape.type_name == "list":
        return {"type": "array", "items": _schema(shape.member, above)}
    if shape.type_name == "map":
        return {"type": "object", "additionalProperties": _schema(shape.value, above)}
    return {"type": _TYPES[shape.type_name]}
