"""Releases of our charts with their jobs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mrc_values.cluster import client
from mrc_values.cluster.client import Cluster
from mrc_values.cluster.job import state
from mrc_values.cluster.objects import Object, at, name, text
from mrc_values.cluster.preflight.planned import RELEASE, RELEASE_NAMESPACE

OURS = "app.kubernetes.io/part-of=mask-rcnn"
_CHARTS = ("maskrcnn", "maskrcnn-optimized")


@dataclass(frozen=True)
class Row:
    """A release, with its job (``namespace/name``) and how that stands; both empty without a job."""

    release: str
    namespace: str
    chart: str
    revision: str
    status: str
    updated: str
    job: str
    state: str


def overview(cluster: Cluster, releases: Sequence[Mapping[str, str]]) -> list[Row]:
    """Of Helm's list those that are ours: by their objects' label, so also charts made from ours."""
    try:
        jobs = _by_release(cluster.list(client.MPIJOBS, labels=OURS))
    except client.NotFound:
        jobs = {}
    servers = _by_release(cluster.list(client.DEPLOYMENTS, labels=OURS))
    found = []
    for release in releases:
        key = (release["namespace"], release["name"])
        chart = release["chart"].rpartition("-")[0]
        if key in jobs or key in servers or chart in _CHARTS:
            found += [_row(release, job) for job in jobs.get(key, [None])]
    return found


def _row(release: Mapping[str, str], job: Object | None) -> Row:
    title = f"{text(job, 'metadata', 'namespace')}/{name(job)}" if job else ""
    updated = release["updated"].partition(".")[0]
    return Row(
        release["name"],
        release["namespace"],
        release["chart"],
        str(release["revision"]),
        release["status"],
        updated,
        title,
        state(job).value if job else "",
    )


def _by_release(objects: Iterable[Object]) -> dict[tuple[str, str], list[Object | None]]:
    found: dict[tuple[str, str], list[Object | None]] = {}
    for item in objects:
        notes = at(item, "metadata", "annotations")
        key = (notes.get(RELEASE_NAMESPACE, ""), notes.get(RELEASE, ""))
        found.setdefault(key, []).append(item)
    return found
