"""Requests of pods and free resources of nodes, with Kubernetes' arithmetic."""

from collections.abc import Iterable, Mapping
from typing import Any

from mrc_values.cluster.objects import Object, at, items, text
from mrc_values.quantities import quantity

Amounts = dict[str, float]
"""Amounts by resource: cores, bytes, devices."""


def asked(spec: Object, kind: str = "requests") -> Amounts:
    """A pod's ``requests`` or ``limits``: the sum of its containers, or its largest init container."""
    total: Amounts = {}
    for container in items(spec, "containers"):
        add(total, _asked(container, kind))
    for container in items(spec, "initContainers"):
        for resource, amount in _asked(container, kind).items():
            total[resource] = max(total.get(resource, 0.0), amount)
    add(total, amounts(at(spec, "overhead")))
    return total


def _asked(container: Object, kind: str) -> Amounts:
    given = at(container, "resources", kind)
    if kind == "requests":  # Kubernetes uses the limit for a missing request
        given = {**at(container, "resources", "limits"), **given}
    return amounts(given)


def amounts(given: Mapping[str, Any]) -> Amounts:
    """Parse quantities into numbers."""
    return {resource: quantity(amount) or 0.0 for resource, amount in given.items()}


def add(total: Amounts, more: Mapping[str, float], times: float = 1) -> None:
    """Add amounts to a total, in place."""
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0.0) + times * amount


def free(nodes: Iterable[Object], pods: Iterable[Object]) -> dict[str, Amounts]:
    """The free resources of each node, by name; each pod also takes one of the node's ``pods``."""
    left = {text(node, "metadata", "name"): amounts(at(node, "status", "allocatable")) for node in nodes}
    for pod in pods:
        node = left.get(text(pod, "spec", "nodeName"))
        if node is not None:
            add(node, {**asked(at(pod, "spec")), "pods": 1.0}, -1)
    return left


def fitting(left: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """How many pods with these requests fit into a node's free resources."""
    # Memory is counted in bytes, so only rounding errors of millicores matter.
    counts = [int((left.get(item, 0.0) + 1e-6) // amount) for item, amount in wanted.items() if amount > 0]
    return max(min([*counts, int(left.get("pods", 0.0))]), 0)


def lacking(left: Mapping[str, float], wanted: Mapping[str, float]) -> list[str]:
    """The resources that are insufficient for one pod."""
    return [item for item, amount in wanted.items() if amount > left.get(item, 0.0) + 1e-6]


def shown(resource: str, amount: float) -> str:
    """An amount for people: ``8 nvidia.com/gpu``, ``95.7 cores``, ``1057 GiB memory``."""
    if resource.split(".")[-1] == "cpu":
        return f"{amount:.4g} cores"
    if resource.split(".")[-1] in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        unit, size = ("GiB", 2**30) if amount >= 2**30 else ("MiB", 2**20)
        return f"{amount / size:.4g} {unit} {resource.split('.')[-1]}"
    return f"{amount:g} {resource}"
