"""Zones of the workers' nodes. EFA does not connect nodes in different zones.

Source: docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html, "EFA limitations".
"""

from collections import Counter
from collections.abc import Iterable

from mrc_values.cluster.job import Snapshot
from mrc_values.cluster.objects import Object, at, items, name, text

EFA = "vpc.amazonaws.com/efa"
ZONE = "topology.kubernetes.io/zone"


def uses_efa(spec: Object) -> bool:
    """Whether a pod requests EFA interfaces."""
    return any(at(item, "resources", "limits").get(EFA) for item in items(spec, "containers"))


def counted(nodes: Iterable[Object]) -> Counter[str]:
    """The number of nodes in each zone; nodes without the label are left out."""
    zones = (text(node, "metadata", "labels", ZONE) for node in nodes)
    return Counter(zone for zone in zones if zone)


def advice(snapshot: Snapshot) -> str:
    """A warning if workers with EFA are on nodes in several zones, else empty."""
    nodes = {name(node): node for node in snapshot.nodes or ()}
    used = [
        nodes[node]
        for pod in snapshot.workers
        if uses_efa(at(pod, "spec")) and (node := text(pod, "spec", "nodeName")) in nodes
    ]
    zones = counted(used)
    if len(zones) < 2:
        return ""
    listed = ", ".join(f"{count} in {zone}" for zone, count in sorted(zones.items()))
    return (
        f"workers are in different zones ({listed}), and EFA does not connect zones. Delete the job, set "
        f"maskrcnn.node_selector to {ZONE}: {zones.most_common(1)[0][0]}, and install again to resume."
    )
