"""Why the scheduler finds no node for a pod, from its message.

The message is that of the pod's condition PodScheduled, such as ``0/18 nodes are available: 14 node(s)
didn't match Pod's node affinity/selector, 4 Insufficient nvidia.com/gpu. preemption: ...``. Each node is
counted under the first filter that rejected it; a node that lacks two resources is counted under both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrc_values.cluster import taints
from mrc_values.cluster.objects import Object, at, items
from mrc_values.quantities import quantity

RESOURCES = {
    "nvidia.com/gpu": "no-gpus",
    "vpc.amazonaws.com/efa": "no-efa",
    "hugepages-2Mi": "no-hugepages",
    "hugepages-1Gi": "no-hugepages",
    "memory": "no-memory",
    "cpu": "no-cpu",
    "ephemeral-storage": "no-disk",
}
"""The resources that a node can lack, the scarcest first, with the names of the reasons."""

_GPUS = "nvidia.com/"
"""The names of GPUs, of MIG devices and of shared GPUs start like this: nvidia.com/mig-3g.20gb."""

_NOT_READY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_WHOLE = re.compile(r"^\d+/(\d+) nodes are available: (.*)$", re.DOTALL)
_COUNTED = re.compile(r"(\d+) (.+?)(?=, \d+ |$)")
_TAINT = re.compile(r"had untolerated taint(?:\(s\))?(?: \{(.*)\})?")


@dataclass(frozen=True)
class Cause:
    """A reason without its pods: its identifier, the sentence and the fix."""

    id: str
    text: str
    fix: str


def explain(message: str, pod: Object, nodes: Sequence[Object] | None) -> Cause:
    """The cause behind a scheduler's message; ``nodes`` is None when they cannot be read."""
    whole = _WHOLE.match(message)
    if not whole:
        if message.startswith("no nodes available"):
            return Cause("no-nodes", "the cluster has no nodes", "Add a node group.")
        return _claim(message) or Cause("unschedulable", f"the scheduler reports:  {message.rstrip('.')}", "")
    total, rest = int(whole[1]), whole[2].split(". ", 1)[0].rstrip(".")
    counts = {text: int(count) for count, text in _COUNTED.findall(rest)}
    return _claim(rest) or _nodes(pod, nodes, total, counts) or _other(total, rest)


def selector(pod: Object) -> str:
    """The labels that a pod's node must have, as a selector for kubectl."""
    return ",".join(f"{name}={value}" for name, value in sorted(at(pod, "spec", "nodeSelector").items()))


def requests(pod: Object) -> dict[str, float]:
    """The total requests of a pod's containers."""
    total: dict[str, float] = {}
    for container in items(pod, "spec", "containers"):
        for name, amount in at(container, "resources", "requests").items():
            total[name] = total.get(name, 0.0) + (quantity(amount) or 0.0)
    return total


def _nodes(
    pod: Object, nodes: Sequence[Object] | None, total: int, counts: Mapping[str, int]
) -> Cause | None:
    """The cause for the filter that rejected the most suitable nodes."""
    nearest = sorted(counts.items(), key=lambda item: _weight(item[0]))
    among = f"of {total} nodes " + ", ".join(_counted(text, count) for text, count in nearest)
    fitting = None if nodes is None else [node for node in nodes if _has_labels(node, pod)]
    lacking = [text.removeprefix("Insufficient ") for text in counts if text.startswith("Insufficient ")]
    if fitting == [] and selector(pod):
        return Cause(
            "node-selector",
            f"no node has the label {_labels(pod)} ({total} nodes)",
            "Set maskrcnn.node_group or node_selector to existing nodes "
            "(kubectl get nodes -L node.kubernetes.io/instance-type), or add such a node group.",
        )
    if any("ReadWriteOncePod" in text for text in counts):
        # The scheduler checks resources first, so these nodes have room, and no other node would help.
        return Cause(_ONE_POD.id, f"{_ONE_POD.text}: {among}", _ONE_POD.fix)
    if lacking:
        return _room(pod, fitting, lacking, among)
    for pattern, cause in _VOLUMES.items():
        if any(re.search(pattern, text) for text in counts):
            return Cause(cause.id, f"{cause.text}: {among}", cause.fix)
    if any("Too many pods" in text for text in counts):
        return Cause("no-pods", f"the nodes have reached their maximum number of pods: {among}", "Add nodes.")
    if any("were unschedulable" in text for text in counts):
        return Cause(
            "cordoned",
            f"nodes are cordoned: {among}",
            "Wait until their maintenance ends, or: kubectl uncordon <node>.",
        )
    if taint := _taint(pod, fitting, counts, among):
        return taint
    if any("node affinity/selector" in text for text in counts):
        return Cause(
            "node-selector",
            f"no node has the label {_labels(pod) or 'that the pod requests'}: {among}",
            "Set maskrcnn.node_group or node_selector to existing nodes, or add such a node group.",
        )
    return None


def _taint(
    pod: Object, fitting: Sequence[Object] | None, counts: Mapping[str, int], among: str
) -> Cause | None:
    """The cause for the taints of the nodes; since Kubernetes 1.34 the message does not name them."""
    matches = [match for text in counts if (match := _TAINT.search(text))]
    if not matches:
        return None
    on_nodes = [taints.untolerated(at(pod, "spec"), node) for node in fitting or ()]
    named = [[match[1].partition(":")[0].rstrip()] for match in matches if match[1]]
    blocking = taints.blocking(on_nodes) or taints.blocking(named)
    if blocking is None:
        blocking = taints.Blocking(taints.Kind.DEDICATED, ("of its nodes",))
    taint = " and ".join(blocking.keys)
    match blocking.kind:
        case taints.Kind.START_UP:
            return Cause(
                "nodes-starting",
                f"nodes are still starting, with the taint {taint}: {among}",
                "The taint goes when the component that it names is ready on the node. If it stays, check "
                "that component's pods (kubectl get pods --namespace kube-system). Do not tolerate it.",
            )
        case taints.Kind.DISRUPTION:
            return Cause(
                "nodes-leaving",
                f"nodes are being removed, with the taint {taint}: {among}",
                "Wait for other nodes. Do not tolerate it: the pod would be evicted.",
            )
        case taints.Kind.CONDITION if blocking.keys[0] in _NOT_READY:
            return Cause(
                "nodes-not-ready",
                f"{_not_ready(fitting)} not ready: {among}",
                "See kubectl describe node; a node that has just started needs a minute.",
            )
        case taints.Kind.CONDITION:
            return Cause(
                "nodes-unhealthy",
                f"nodes have a problem, with the taint {taint}: {among}",
                "See kubectl describe node. Do not tolerate it.",
            )
    return Cause(
        "taint",
        f"the pod does not tolerate the taint {taint}: {among}",
        "Set maskrcnn.tolerations to tolerate it, or run on other nodes.",
    )


def _not_ready(fitting: Sequence[Object] | None) -> str:
    if fitting is None:
        return "nodes are"
    count = sum(
        any(taint["key"] in _NOT_READY for taint in items(node, "spec", "taints")) for node in fitting
    )
    return f"{count} of the {len(fitting)} nodes that it can run on {'is' if count == 1 else 'are'}"


def _room(pod: Object, fitting: Sequence[Object] | None, lacking: Sequence[str], among: str) -> Cause:
    """Either no room now, or a request that exceeds the largest node."""
    name = min(lacking, key=_scarcity)
    asked = requests(pod).get(name, 0.0)
    largest = max(
        (quantity(at(node, "status", "allocatable").get(name)) or 0.0 for node in fitting or ()), default=None
    )
    if largest == 0:
        return _nothing(name, fitting or (), among)
    if largest is not None and asked > largest:
        return Cause(
            "node-too-small",
            f"the pod requests {_amount(asked, name)} {name}, the largest node that it can run on has "
            f"{_amount(largest, name)}: {among}",
            "Request less (maskrcnn.gpus_per_node, memory, efa, hugepages), or use larger nodes "
            "(mrc-values node-groups).",
        )
    return Cause(
        "no-gpus" if name.startswith(_GPUS) else RESOURCES.get(name, "no-room"),
        f"no node has {_amount(asked, name)} {name} free: {among}",
        "Wait until another job ends, use fewer workers, or add nodes.",
    )


def _scarcity(name: str) -> int:
    """A sort key for resources, the scarcest first."""
    order = list(RESOURCES)
    if name.startswith(_GPUS):
        return 0
    return order.index(name) if name in order else len(order)


def _nothing(name: str, fitting: Sequence[Object], among: str) -> Cause:
    """No node offers the resource, usually because its device plugin is not running."""
    if name.startswith("hugepages-"):
        return Cause(
            "no-hugepages",
            f"the nodes have no {name}: {among}",
            "Remove maskrcnn.hugepages, or reserve huge pages when the nodes start.",
        )
    offered = {
        other
        for node in fitting
        for other, amount in at(node, "status", "allocatable").items()
        if other.startswith(_GPUS) and quantity(amount)
    }
    if name.startswith(_GPUS) and offered:
        return Cause(
            "device-plugin",
            f"the nodes offer {' and '.join(sorted(offered))}, but no {name}: {among}",
            "Set maskrcnn.gpu_resource to a device that they offer, or configure MIG or sharing on them.",
        )
    return Cause(
        "device-plugin",
        f"the nodes offer no {name}: {among}",
        "Check their type, and that its device plugin runs (kubectl get pods --namespace kube-system).",
    )


def _weight(text: str) -> int:
    """A sort key: scarce resources first, nodes of other groups last."""
    if "node affinity/selector" in text:
        return len(RESOURCES) + 1
    return _scarcity(text.removeprefix("Insufficient "))


def _labels(pod: Object) -> str:
    return selector(pod).replace(",", " and ")


def _amount(number: float, name: str) -> str:
    if name in {"memory", "ephemeral-storage"} or name.startswith("hugepages-"):
        return f"{number / 2**30:.0f}Gi" if number >= 2**30 else f"{number / 2**20:.0f}Mi"
    return f"{number:g}"


def _counted(text: str, count: int) -> str:
    if text.startswith("Insufficient "):
        verb = "lacks" if count == 1 else "lack"
        return f"{count} {verb} {text.removeprefix('Insufficient ')}"
    if "node affinity/selector" in text:
        return f"{count} {'has' if count == 1 else 'have'} other labels"
    if match := _TAINT.search(text):
        which = f"the taint {match[1].rstrip(': ')}" if match[1] else "a taint"
        return f"{count} {'has' if count == 1 else 'have'} {which}"
    if "were unschedulable" in text:
        return f"{count} {'is' if count == 1 else 'are'} cordoned"
    return f"{count} {text.removeprefix('node(s) ')}"


def _has_labels(node: Object, pod: Object) -> bool:
    return at(node, "metadata", "labels").items() >= at(pod, "spec", "nodeSelector").items()


_ONE_POD = Cause(
    "claim-one-pod",
    "another pod uses the claim, whose access mode is ReadWriteOncePod",
    "Use a claim with the access mode ReadWriteMany.",
)

_VOLUMES = {
    r"volume node affinity conflict|PersistentVolume's node affinity": Cause(
        "volume-zone",
        "the volume can only be used on other nodes, usually those in its zone",
        "Use nodes in the volume's zone, or a file system that all zones reach (EFS).",
    ),
    r"didn't find available persistent volumes|no available volume": Cause(
        "claim-unbound",
        "no volume matches the claim",
        "See kubectl describe pvc and docs/claims.md.",
    ),
}

_CLAIMS = (
    (
        r'persistentvolumeclaim "(?P<name>[^"]+)" not found',
        "claim-missing",
        "the claim {name} does not exist in this namespace",
        "Create it (docs/claims.md), or set global.shared_pvc or maskrcnn.data_pvc to an existing one.",
    ),
    (
        r'persistentvolumeclaim "(?P<name>[^"]+)" bound to non-existent persistentvolume "(?P<volume>[^"]+)"',
        "claim-lost",
        "the claim {name} has lost its volume {volume}",
        "Delete the claim and create it again with its volume (docs/claims.md); the data is kept.",
    ),
    (
        r'persistentvolumeclaim "(?P<name>[^"]+)" is being deleted',
        "claim-deleted",
        "the claim {name} is being deleted",
        "Delete the job, wait until the claim is gone and create it again (docs/claims.md).",
    ),
    (
        r"unbound immediate PersistentVolumeClaims",
        "claim-unbound",
        "a claim is not bound to a volume",
        "See kubectl get pvc, and docs/claims.md.",
    ),
)


def _claim(text: str) -> Cause | None:
    for pattern, name, sentence, fix in _CLAIMS:
        if match := re.search(pattern, text):
            return Cause(name, sentence.format(**match.groupdict()), fix)
    return None


def _other(total: int, rest: str) -> Cause:
    return Cause("unschedulable", f"none of the {total} nodes accepts the pod: {rest}", "")
