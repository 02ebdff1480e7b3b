"""Manifests of the legacy SageMaker operator as objects of ACK's SageMaker controller.

The operator ended in 2023. Its CRDs are of apiextensions v1beta1, which Kubernetes has not had since 1.22, so
that its manifests can only be converted.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mrc_cli.errors import UserError

from mrc_sagemaker import ack, service

LEGACY_API = "sagemaker.aws.amazon.com/v1"

_RENAMED = {
    "executionRoleArn": "executionRoleARN",
    "fileSystemId": "fileSystemID",
    "kmsKeyId": "kmsKeyID",
    "modelDataUrl": "modelDataURL",
    "roleArn": "roleARN",
    "s3Uri": "s3URI",
    "securityGroupIds": "securityGroupIDs",
    "volumeKmsKeyId": "volumeKMSKeyID",
}

_PAIRS = ("hyperParameters", "environment", "hookParameters", "collectionParameters", "ruleParameters")
"""Lists of name and value, which ACK has as maps."""

_ENDPOINT_URL = "services.k8s.aws/endpoint-url"

Object = dict[str, Any]


@dataclass(frozen=True)
class Converted:
    """What became of a manifest.

    Attributes:
        objects: in the order in which they are created.
        lost: what has no counterpart or needs a look: the field and what to do.
    """

    objects: list[Object] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def convert(manifest: Mapping[str, Any]) -> Converted:
    """The objects for a manifest of the legacy operator.

    Raises:
        UserError: when it is not such a manifest, or lacks what the operator required.
    """
    kind, version = manifest.get("kind"), manifest.get("apiVersion")
    if version != LEGACY_API:
        raise UserError(f"{kind} of {version} is not of the legacy SageMaker operator ({LEGACY_API})")
    converters = {"TrainingJob": _training_job, "HostingDeployment": _hosting}
    if kind not in converters:
        raise UserError(f"{kind}: only {' and '.join(converters)} can be converted")
    spec = manifest.get("spec")
    name = (manifest.get("metadata") or {}).get("name")
    if not isinstance(spec, dict) or not name:
        raise UserError(f"{kind}: has no spec or no metadata.name")
    if "region" not in spec:
        raise UserError(f"{kind} {name}: has no spec.region")
    rest = dict(spec)
    annotations = {ack.REGION: rest.pop("region")}
    if url := rest.pop("sageMakerEndpoint", None):
        annotations[_ENDPOINT_URL] = url
    converted = converters[kind](name, rest)
    namespace = manifest["metadata"].get("namespace")
    for item in converted.objects:
        item["metadata"] |= {"namespace": namespace} if namespace else {}
        item["metadata"]["annotations"] = dict(annotations)
    return Converted(converted.objects, [*converted.lost, *_rejected(converted.objects)])


def _training_job(name: str, spec: Object) -> Converted:
    lost = []
    if "trainingJobName" not in spec:
        lost.append(
            f"trainingJobName: {name}; the operator added a random part, ACK does not, and SageMaker never "
            "takes a name twice"
        )
    body = {"trainingJobName": name, **_renamed(spec)}
    return Converted([_object("TrainingJob", name, body)], lost)


def _hosting(name: str, spec: Object) -> Converted:
    objects: list[Object] = []
    lost: list[str] = []
    endpoint = spec.pop("endpointName", name)
    tags = spec.pop("tags", None)
    for model in spec.pop("models", []):
        rest = dict(model)
        model_name = rest.pop("name", name)
        containers = [_container(container) for container in rest.pop("containers", [])]
        primary = rest.pop("primaryContainer", None)
        if isinstance(primary, str) and len(containers) > 1:
            lost.append(
                f"models {model_name}: primaryContainer {primary}; a pipeline starts with its first one"
            )
        body = {"modelName": model_name, **_renamed(rest)}
        body |= {"primaryContainer": containers[0]} if len(containers) == 1 else {"containers": containers}
        objects.append(_object("Model", model_name, body))
    config: Object = {"productionVariants": _renamed(spec.pop("productionVariants", []))}
    for variant in config["productionVariants"]:
        if variant.pop("acceleratorType", None):
            lost.append(
                f"productionVariants {variant.get('variantName')}: acceleratorType; AWS no longer offers "
                "Elastic Inference, use an instance type with a GPU"
            )
    for old, new in (("kmsKeyId", "kmsKeyID"), ("dataCaptureConfig", "dataCaptureConfig")):
        if old in spec:
            config[new] = _renamed(spec.pop(old))
    digest = hashlib.sha256(json.dumps([objects, config], sort_keys=True).encode()).hexdigest()[:8]
    config_name = f"{endpoint[:54]}-{digest}"
    objects.append(_object("EndpointConfig", config_name, {"endpointConfigName": config_name, **config}))
    body = {"endpointName": endpoint, "endpointConfigName": config_name}
    objects.append(_object("Endpoint", endpoint, body))
    lost += [f"{name}: has no counterpart; set it in a new EndpointConfig" for name in spec]
    if tags:
        for item in objects:
            item["spec"]["tags"] = tags
    return Converted(objects, lost)


def _container(container: Any) -> Any:
    renamed = _renamed(container)
    renamed.pop("containerHostname", None)
    return renamed


def _object(kind: str, name: str, spec: Object) -> Object:
    # Names of Kubernetes objects are in lower case; those in AWS, in the spec, stay as they are.
    return {"apiVersion": ack.API_VERSION, "kind": kind, "metadata": {"name": name.lower()}, "spec": spec}


def _renamed(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {_RENAMED.get(key, key): _renamed(inner, key) for key, inner in value.items()}
    if isinstance(value, list) and name in _PAIRS:
        return {pair["name"]: str(pair.get("value", "")) for pair in value}
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    return value


def _rejected(objects: list[Object]) -> list[str]:
    """What SageMaker would reject, which the operator's schema allowed."""
    rejections = []
    for item in objects:
        try:
            problems: list[service.Problem] = ack.resource(item).problems()
        except UserError as error:
            rejections.append(f"{error}; remove it")
            continue
        rejections += [f"{item['kind']} {item['metadata']['name']}: {problem}" for problem in problems]
    return rejections
