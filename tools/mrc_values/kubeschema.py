"""Validation of rendered objects against the Kubernetes schemas in the package kubernetes-validate.

Only the package's data is used: its function would look for the schemas, read them and check them again for
each object, and import more than all the rest.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mrc_values.manifests import objects
from mrc_values.matching import surely_matches
from mrc_values.schema import Schema, jsonschema, shown

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
    for item in objects(rendered):
        name = f"{item.get('kind')} {(item.get('metadata') or {}).get('name')}"
        for where, candidate in _known(item):
            schema = _schema(str(candidate.get("kind")), str(candidate.get("apiVersion")))
            if schema is None or surely_matches(candidate, schema, _definitions()):
                continue
            errors = _validator(schema).iter_errors(candidate)
            if error := jsonschema().exceptions.best_match(errors):
                field = ".".join(map(str, (*where, *error.absolute_path)))
                yield Rejection(name, field, _message(error), error.instance)


@cache
def _schema(kind: str, api_version: str) -> Schema | None:
    """The schema of a kind; None for a custom resource, which has none."""
    # rbac.authorization.k8s.io/v1 is rbac-v1.
    version = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    file = _schemas() / f"{kind.lower()}-{version}.json"
    if not file.is_file():
        return None
    schema: Schema = json.loads(file.read_bytes())
    return schema


@cache
def _definitions() -> Schema:
    """The schemas that those of the kinds refer to."""
    definitions: Schema = json.loads((_schemas() / "_definitions.json").read_bytes())
    return definitions


def _validator(schema: Schema) -> Any:
    from referencing import Registry, Resource

    registry: Any = Registry()
    return jsonschema().Draft202012Validator(
        schema, registry=Resource.from_contents(_definitions()) @ registry
    )


@cache
def _schemas() -> Path:
    spec = find_spec("kubernetes_validate")
    assert spec and spec.submodule_search_locations
    directory = Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema"
    return max(directory.glob(f"v{VERSION}.*-local-strict"))


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
