"""Charts rendered by real Helm, in this process, and the strict checks of every object that they render."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from mrc_values.helm import render

CHARTS = Path(__file__).parents[2] / "charts"
VERSION: str = yaml.safe_load((CHARTS / "maskrcnn" / "Chart.yaml").read_text())["version"]
OLDEST, NEWEST = "1.27", ".".join(kubernetes_validate.latest_version().split(".")[:2])
"""Kubernetes versions: the charts' kubeVersion, and the newest with schemas in the repository."""

Object = dict[str, Any]


def render_objects(
    chart: Path, values: dict[str, Any], release: str = "demo", namespace: str = "default"
) -> list[Object]:
    """The objects of a chart with these values. Raises RenderError when schema or templates reject them."""
    return objects(render(chart, values, release, namespace))


def objects(texts: dict[str, str]) -> list[Object]:
    """The objects of rendered templates (text by path), without the NOTES."""
    manifests = [text for path, text in texts.items() if not path.endswith("NOTES.txt")]
    return [item for text in manifests for item in yaml.load_all(text, Loader=_UniqueKeys) if item]


def only(candidates: Iterable[Object], kind: str) -> Object:
    """The one object of a kind."""
    (item,) = (item for item in candidates if item["kind"] == kind)
    return item


class _UniqueKeys(yaml.CSafeLoader):
    """YAML as the API server reads it: a duplicate key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"line {node.start_mark.line + 1}: a key twice in {keys}"
        return super().construct_mapping(node, deep)


def check_object(item: Object, version: str = NEWEST) -> None:
    """The object is strictly valid for the API server of this Kubernetes, as far as schemas can check."""
    if item["kind"] == "MPIJob":
        check_mpijob(item, version)
    elif not item["apiVersion"].startswith("sagemaker.services.k8s.aws/"):  # tests/sagemaker checks those
        kubernetes_validate.validate(item, version, strict=True)
    for pod in _pods(item):
        _check_lists(pod)


def check_mpijob(job: Object, version: str = NEWEST) -> None:
    """The job is valid for the schema that the chart mpijob installs, and its pods for Kubernetes."""
    assert job["apiVersion"] == "kubeflow.org/v2beta1"
    schema = mpijob_schema()
    jsonschema.Draft202012Validator(schema).validate(job)
    assert list(unknown_fields(job["spec"], schema["properties"]["spec"], "spec")) == []
    for replica in job["spec"]["mpiReplicaSpecs"].values():
        template = {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {},
            "template": replica["template"],
        }
        kubernetes_validate.validate(template, version, strict=True)


@cache
def mpijob_schema() -> Any:
    """Schema of MPIJobs in the CRD of the chart mpijob."""
    crd = only(render_objects(CHARTS / "mpijob", {}), "CustomResourceDefinition")
    (version,) = crd["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


def unknown_fields(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Paths of the fields that an API server with strict validation rejects.

    In a CRD's structural schema, a field that it does not have is unknown; additionalProperties: false does
    not exist there.
    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
    """
    if isinstance(value, list):
        for i, entry in enumerate(value):
            yield from unknown_fields(entry, schema["items"], f"{path}[{i}]")
    elif isinstance(value, dict):
        for key, entry in value.items():
            known = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if known is not None:
                yield from unknown_fields(entry, known, f"{path}.{key}")
            elif not schema.get("x-kubernetes-preserve-unknown-fields"):
                yield f"{path}.{key}"


def _pods(value: Any) -> Iterator[dict[str, Any]]:
    """Every pod spec within an object."""
    if isinstance(value, dict):
        if isinstance(value.get("containers"), list):
            yield value
        for entry in value.values():
            yield from _pods(entry)


def _check_lists(pod: dict[str, Any]) -> None:
    """Nothing twice in the lists in which the API server or Helm 4's server-side apply rejects that."""
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    lists = [(containers, "name"), (pod.get("volumes", []), "name")]
    for container in containers:
        lists += [
            (container.get(name, []), key)
            for name, key in (("env", "name"), ("ports", "name"), ("volumeMounts", "mountPath"))
        ]
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounted <= {volume["name"] for volume in pod.get("volumes", [])}
    for entries, key in lists:
        names = [entry[key] for entry in entries]
        assert len(names) == len(set(names)), f"a {key} twice in {names}"
