"""Taints by kind: those that go away on their own, and those that a pod has to tolerate.

Sources of the keys: kubernetes.io/docs/reference/labels-annotations-taints;
karpenter.sh/docs/concepts/nodepools; FAQ of kubernetes/autoscaler (startup-taints); the taints that the EFS,
FSx and EBS CSI drivers and Cilium document for nodes on which their agent has not started.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from mrc_values.cluster.objects import Object, items, text


class Kind(IntEnum):
    """Why a node has a taint, the soonest to go away first."""

    START_UP = 0
    CONDITION = 1
    DISRUPTION = 2
    DEDICATED = 3


_START_UP = (
    *("/agent-not-ready", "/uninitialized", "/unregistered"),
    *("startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/"),
)
_DISRUPTION = (
    *("karpenter.sh/disrupt", "ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler"),
    *("aws-node-termination-handler/", "node.kubernetes.io/out-of-service"),
)
_CONDITION = (
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/pid-pressure",
)


@dataclass(frozen=True)
class Blocking:
    """The taints that keep a pod away from the nodes that it can soonest run on, sorted by key."""

    kind: Kind
    keys: tuple[str, ...]


def kind(key: str) -> Kind:
    """The kind of a taint, by its key."""
    if key.startswith(_START_UP) or key.endswith(_START_UP):
        return Kind.START_UP
    if key.startswith(_DISRUPTION):
        return Kind.DISRUPTION
    return Kind.CONDITION if key in _CONDITION else Kind.DEDICATED


def tolerates(pod_spec: Object, taint: Object) -> bool:
    """Whether a pod can be scheduled to a node in spite of a taint."""
    if taint.get("effect") == "PreferNoSchedule":
        return True
    return any(
        toleration.get("effect") in (None, "", taint.get("effect"))
        and (
            (toleration.get("operator") == "Exists" and toleration.get("key") in (None, "", taint.get("key")))
            or (
                toleration.get("key") == taint.get("key")
                and (toleration.get("value") or "") == (taint.get("value") or "")
            )
        )
        for toleration in items(pod_spec, "tolerations")
    )


def untolerated(pod_spec: Object, node: Object) -> list[str]:
    """The keys of a node's taints that a pod does not tolerate."""
    taints = items(node, "spec", "taints")
    return [text(taint, "key") for taint in taints if not tolerates(pod_spec, taint)]


def blocking(nodes: Iterable[Sequence[str]]) -> Blocking | None:
    """What keeps a pod away, from the untolerated keys of each node; None without any.

    A node is available when its most persistent taint is gone, so the node whose most persistent taint goes
    away first decides.
    """
    by_kind = [(max(map(kind, keys)), key) for keys in nodes if keys for key in keys]
    if not by_kind:
        return None
    soonest = min(node_kind for node_kind, _ in by_kind)
    keys = {key for node_kind, key in by_kind if node_kind == soonest and kind(key) == soonest}
    return Blocking(soonest, tuple(sorted(keys)))
