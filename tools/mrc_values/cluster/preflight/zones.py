"""Checks whether workers that use EFA can only be placed in one zone."""

from collections import defaultdict
from collections.abc import Iterator

from mrc_values.cluster.objects import Object, at, text
from mrc_values.cluster.preflight import nodes, resources
from mrc_values.cluster.preflight.planned import ClusterReader, PlannedRelease, Pods, Problem
from mrc_values.cluster.zones import ZONE, uses_efa


def workers_share_a_zone(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """The nodes for several workers with EFA are in one zone, or the values select a zone."""
    for pods in planned.pods:
        if pods.count > 1 and uses_efa(pods.spec) and not _selects_a_zone(pods):
            yield from _zones(pods, reader)


def _zones(pods: Pods, reader: ClusterReader) -> Iterator[Problem]:
    wanted = resources.asked(pods.spec)
    room: dict[str, int] = defaultdict(int)
    for node in nodes.usable(pods, reader):
        if zone := text(node, "metadata", "labels", ZONE):
            room[zone] += resources.fitting(resources.amounts(at(node, "status", "allocatable")), wanted)
    if len(room) < 2:
        return
    listed = ", ".join(f"{zone} (room for {count})" for zone, count in sorted(room.items()))
    largest = max(sorted(room), key=lambda zone: room[zone])
    fix = f"Set {pods.setting('node_selector')} to {ZONE}: {largest}."
    if room[largest] < pods.count:
        fix = f"Add nodes in {largest}, or use {room[largest]} workers, and s{fix[1:]}"
    message = (
        f"{pods.title}s use EFA, which does not connect zones, but their nodes are in several: {listed}."
    )
    yield Problem("MRC125", pods.setting("node_selector"), message, fix)


def _selects_a_zone(pods: Pods) -> bool:
    return ZONE in pods.selector or ZONE in str(_affinity(pods.spec))


def _affinity(spec: Object) -> Object:
    """The affinities that a node must satisfy, of nodes and of pods."""
    return {
        kind: rules.get("requiredDuringSchedulingIgnoredDuringExecution")
        for kind, rules in at(spec, "affinity").items()
        if kind != "podAntiAffinity"
    }
