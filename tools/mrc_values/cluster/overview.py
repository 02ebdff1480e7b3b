"""The releases of these charts with their jobs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mrc_values.cluster import client, job, sagemaker
from mrc_values.cluster.client import Cluster, Resource
from mrc_values.cluster.job import State
from mrc_values.cluster.objects import Object, at, name, text
from mrc_values.cluster.preflight.planned import RELEASE, RELEASE_NAMESPACE

OURS = "app.kubernetes.io/part-of=mask-rcnn"
_CHARTS = ("maskrcnn", "maskrcnn-optimized", "sagemaker")
_MPIJOB = "MPIJob"
_ON_SAGEMAKER = ("TrainingJob", "Endpoint")
"""The kinds of ACK that are shown: what runs, and costs money."""


@dataclass(frozen=True)
class Row:
    """A release with its job (``namespace/name``) and the job's state.

    ``kind`` is MPIJob, or TrainingJob or Endpoint of ACK. Kind, job and state are empty for a release
    without a job, release and chart for a job without a release.
    """

    release: str
    namespace: str
    chart: str
    revision: str
    status: str
    updated: str
    kind: str
    job: str
    state: str


def overview(cluster: Cluster, releases: Sequence[Mapping[str, str]], namespace: str | None) -> list[Row]:
    """The releases of these charts in Helm's list, then jobs in a namespace (None: all) without one.

    Releases are found by the labels of their objects and by chart name. Labels also find releases of charts
    that were made from these. Jobs without a release were applied by other means, such as GitOps. Training
    jobs and endpoints on SageMaker are listed where ACK's kinds exist and the user may list them.
    """
    jobs = _by_release(_jobs(cluster))
    servers = _by_release(cluster.list(client.DEPLOYMENTS, labels=OURS))
    result = []
    for release in releases:
        key = (release["namespace"], release["name"])
        chart = release["chart"].rpartition("-")[0]
        if key in jobs or key in servers or chart in _CHARTS:
            result += [_row(release, item) for item in jobs.pop(key, [None])]
    unreleased = [item for rest in jobs.values() for item in rest if item]
    return result + [
        _job_row(item) for item in unreleased if namespace in (None, text(item, "metadata", "namespace"))
    ]


def _jobs(cluster: Cluster) -> Iterator[Object]:
    """All MPIJobs, then what ACK has on SageMaker."""
    yield from _listed(cluster, _MPIJOB, client.MPIJOBS)
    if cluster.served(sagemaker.API) is None:
        return
    for kind in _ON_SAGEMAKER:
        try:
            yield from _listed(cluster, kind, sagemaker.KINDS[kind])
        except client.Forbidden:
            # Who trains on the cluster needs no rights for another team's controller.
            continue


def _listed(cluster: Cluster, kind: str, resource: Resource) -> Iterator[Object]:
    """The objects of a kind, which lists do not name; none if the cluster does not have it."""
    try:
        yield from (item | {"kind": kind} for item in cluster.list(resource))
    except client.NotFound:
        return


def _state(item: Object) -> State:
    return job.state(item) if item["kind"] == _MPIJOB else sagemaker.state(item)


def _title(item: Object) -> str:
    return f"{text(item, 'metadata', 'namespace')}/{name(item)}"


def _job_row(item: Object) -> Row:
    """The row of a job without a Helm release."""
    namespace = text(item, "metadata", "namespace")
    return Row("", namespace, "", "", "", "", item["kind"], _title(item), _state(item).value)


def _row(release: Mapping[str, str], item: Object | None) -> Row:
    updated = release["updated"].partition(".")[0]
    return Row(
        release["name"],
        release["namespace"],
        release["chart"],
        str(release["revision"]),
        release["status"],
        updated,
        item["kind"] if item else "",
        _title(item) if item else "",
        _state(item).value if item else "",
    )


def _by_release(objects: Iterable[Object]) -> dict[tuple[str, str], list[Object | None]]:
    result: dict[tuple[str, str], list[Object | None]] = {}
    for item in objects:
        notes = at(item, "metadata", "annotations")
        key = (notes.get(RELEASE_NAMESPACE, ""), notes.get(RELEASE, ""))
        result.setdefault(key, []).append(item)
    return result
