"""Validation of rendered objects against the Kubernetes schemas in kubernetes-validate."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mrc_values.manifests import objects
from mrc_values.schema import jsonschema, shown

VERSION = "1.34"
"""The Kubernetes version of the schemas."""


@dataclass(frozen=True)
class Rejection:
    """An object that Kubernetes would reject, with the field and the reason."""

    object: str
    field: str
    message: str
    instance: Any


def check(rendered: Mapping[str, str]) -> Iterator[Rejection]:
    """Rejections of rendered templates (text by path), one per object; pod templates of MPIJobs count as
    pods."""
    jsonschema()
    import kubernetes_validate
    from kubernetes_validate import utils

    # Otherwise it would read the definitions, a megabyte, again for every object.
    if not hasattr(utils.schema_contents, "cache_info"):
        utils.schema_contents = cache(utils.schema_contents)
    for item in objects(rendered):
        name = f"{item.get('kind')} {(item.get('metadata') or {}).get('name')}"
        for where, candidate in _known(item):
            try:
                kubernetes_validate.validate(candidate, VERSION, strict=True)
            except kubernetes_validate.ValidationError as error:
                field = ".".join(map(str, (*where, *error.absolute_path)))
                yield Rejection(name, field, _message(error), error.instance)
            except kubernetes_validate.SchemaNotFoundError:
                continue  # a custom resource has no schema


def _known(item: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The object, or the parts of a custom resource that are Kubernetes kinds."""
    if item.get("kind") != "MPIJob":
        yield (), item
        return
    replicas = (item.get("spec") or {}).get("mpiReplicaSpecs") or {}
    for role, replica in replicas.items():
        template = replica.get("template") or {}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, **template}
        yield ("spec", "mpiReplicaSpecs", role, "template"), pod


def _message(error: Any) -> str:
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = [name for name in error.instance if name not in known]
        return f"has no field {', '.join(unknown)}"
    if error.validator == "type":
        kind = (
            error.validator_value
            if isinstance(error.validator_value, str)
            else " or ".join(error.validator_value)
        )
        return f"{shown(error.instance)} is not of type {kind}"
    return str(error.message)
