"""The releases of these charts with their jobs."""

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
    """A release with its job (``namespace/name``) and the job's state.

    Job and state are empty for a release without a job, release and chart for a job without a release.
    """

    release: str
    namespace: str
    chart: str
    revision: str
    status: str
    updated: str
    job: str
    state: str


def overview(cluster: Cluster, releases: Sequence[Mapping[str, str]], namespace: str | None) -> list[Row]:
    """The releases of these charts in Helm's list, then jobs in a namespace (None: all) without one.

    Releases are found by the labels of their objects and by chart name. Labels also find releases of charts
    that were made from these. Jobs without a release were applied by other means, such as GitOps.
    """
    try:
        jobs = _by_release(cluster.list(client.MPIJOBS))
    except client.NotFound:
        jobs = {}
    servers = _by_release(cluster.list(client.DEPLOYMENTS, labels=OURS))
    result = []
    for release in releases:
        key = (release["namespace"], release["name"])
        chart = release["chart"].rpartition("-")[0]
        if key in jobs or key in servers or chart in _CHARTS:
            result += [_row(release, job) for job in jobs.pop(key, [None])]
    unreleased = [job for rest in jobs.values() for job in rest if job]
    return result + [
        _job_row(job) for job in unreleased if namespace in (None, text(job, "metadata", "namespace"))
    ]


def _job_row(job: Object) -> Row:
    """The row of a job without a Helm release."""
    namespace = text(job, "metadata", "namespace")
    return Row("", namespace, "", "", "", "", f"{namespace}/{name(job)}", state(job).value)


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
    result: dict[tuple[str, str], list[Object | None]] = {}
    for item in objects:
        notes = at(item, "metadata", "annotations")
        key = (notes.get(RELEASE_NAMESPACE, ""), notes.get(RELEASE, ""))
        result.setdefault(key, []).append(item)
    return result
