"""What pods ask of nodes, and what nodes have: Kubernetes' own arithmetic."""

from collections.abc import Iterable, Mapping
from typing import Any

from mrc_values.cluster.objects import Object, at, items, text
from mrc_values.quantities import quantity

Amounts = dict[str, float]
"""Amounts by resource: cores, bytes, devices."""


def asked(spec: Object, kind: str = "requests") -> Amounts:
    """A pod's ``requests`` or ``limits``: of its containers together, or of the largest that goes first."""
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
    if kind == "requests":  # Kubernetes takes a limit for the request that is not there
        given = {**at(container, "resources", "limits"), **given}
    return amounts(given)


def amounts(given: Mapping[str, Any]) -> Amounts:
    """Quantities as numbers."""
    return {resource: quantity(amount) or 0.0 for resource, amount in given.items()}


def add(total: Amounts, more: Mapping[str, float], times: float = 1) -> None:
    """Adds amounts to a total, in place."""
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0.0) + times * amount


def free(nodes: Iterable[Object], pods: Iterable[Object]) -> dict[str, Amounts]:
    """What the pods on them leave of each node, by its name; a pod takes one of the node's ``pods``."""
    left = {text(node, "metadata", "name"): amounts(at(node, "status", "allocatable")) for node in nodes}
    for pod in pods:
        node = left.get(text(pod, "spec", "nodeName"))
        if node is not None:
            add(node, {**asked(at(pod, "spec")), "pods": 1.0}, -1)
    return left


def fitting(left: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """How many pods with these requests fit into what is left of a node."""
    # Memory is counted in bytes, so a rounding error of a millicore is what matters.
    counts = [int((left.get(each, 0.0) + 1e-6) // amount) for each, amount in wanted.items() if amount > 0]
    return max(min([*counts, int(left.get("pods", 0.0))]), 0)


def lacking(left: Mapping[str, float], wanted: Mapping[str, float]) -> list[str]:
    """The resources of which there is too little for one pod."""
    return [each for each, amount in wanted.items() if amount > left.get(each, 0.0) + 1e-6]


def shown(resource: str, amount: float) -> str:
    """An amount as people say it: ``8 nvidia.com/gpu``, ``95.7 cores``, ``1057 GiB memory``."""
    if resource.split(".")[-1] == "cpu":
        return f"{amount:.4g} cores"
    if resource.split(".")[-1] in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        unit, size = ("GiB", 2**30) if amount >= 2**30 else ("MiB", 2**20)
        return f"{amount / size:.4g} {unit} {resource.split('.')[-1]}"
    return f"{amount:g} {resource}"
