"""Reads a job and all that tells why it waits from the API."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from mrc_cli.errors import UserError

from mrc_values.cluster import client, job, scheduling
from mrc_values.cluster.client import Cluster, ClusterError, Forbidden, NotFound, Resource
from mrc_values.cluster.job import Snapshot, State
from mrc_values.cluster.objects import Object, at, items, name, text

JOBS = Resource("/apis/batch/v1", "jobs")
WORKLOADS = Resource("/apis/kueue.x-k8s.io/v1beta1", "workloads")

NAMESPACE = "kubeflow"
"""Where the charts put their objects unless told."""

TAIL = 2000
"""Lines of a launcher's log that are read for its progress: a line every few seconds, so hours."""
HEAD = 4 * 2**20
"""Bytes of a log's begin that are read for NCCL's words, which hundreds of ranks say at once."""


def places(cluster: Cluster, namespace: str | None) -> list[str]:
    """Namespaces in which a release's objects may be: the one given, else the context's own.

    A release in ``default`` has its objects in kubeflow unless told otherwise.
    """
    first = namespace or cluster.namespace
    return [first, NAMESPACE] if first == "default" else [first]


def find(cluster: Cluster, release: str, namespace: str | None) -> Object:
    """The MPIJob of a release, or the one that is called so; the newest of several.

    Raises UserError when there is none.
    """
    where = places(cluster, namespace)
    for place in where:
        try:
            found = list(cluster.list(client.MPIJOBS, place))
        except NotFound:
            raise UserError(
                "the cluster has no MPIJobs. Install the operator: helm install mpijob charts/mpijob."
            ) from None
        own = [
            each
            for each in found
            if at(each, "metadata", "labels").get("app.kubernetes.io/instance") == release
        ]
        own = own or [each for each in found if name(each) == release]
        if own:
            return max(own, key=lambda each: text(each, "metadata", "creationTimestamp"))
    raise UserError(
        f"no training job {release} in the namespace {' or '.join(where)}. "
        "See mrc-values list; --namespace names another one."
    )


def read(cluster: Cluster, mpijob: Object) -> Snapshot:
    """A job's pods, events and whatever else explains it, without its log."""
    namespace, title = text(mpijob, "metadata", "namespace"), name(mpijob)
    found = Snapshot(
        mpijob,
        pods=list(cluster.list(client.PODS, namespace, labels=f"{job.JOB_LABEL}={title}")),
        events=sorted(cluster.list(client.EVENTS, namespace), key=job.happened),
        launcher_job=cluster.find(JOBS, f"{title}-launcher", namespace),
        claims=_if_allowed(lambda: cluster.list(client.CLAIMS, namespace)),
    )
    waiting = [pod for pod in found.pods if not text(pod, "spec", "nodeName")]
    if waiting:
        found = replace(found, nodes=_nodes(cluster, waiting))
    if job.state(mpijob) is State.SUSPENDED and job.QUEUE_LABEL in at(mpijob, "metadata", "labels"):
        found = replace(
            found,
            queues=_if_allowed(lambda: cluster.list(client.LOCAL_QUEUES, namespace)),
            workloads=_if_allowed(lambda: cluster.list(WORKLOADS, namespace)),
        )
    return found


def _nodes(cluster: Cluster, pods: Iterable[Object]) -> list[Object] | None:
    """The nodes on which the pods may run by their labels; None when the user may not see nodes."""
    found: dict[str, Object] = {}
    for labels in {scheduling.selector(pod) for pod in pods}:
        if labels:
            nodes = _if_allowed(partial(cluster.list, client.NODES, labels=labels))
            if nodes is None:
                return None
            found |= {name(node): node for node in nodes}
    return list(found.values())


def _if_allowed(listed: Callable[[], Iterable[Object]]) -> list[Object] | None:
    """What explains more, but not every user may read, nor every cluster has."""
    try:
        return list(listed())
    except (Forbidden, NotFound):
        return None


def log_end(cluster: Cluster, pod: Object, lines: int = TAIL) -> list[str] | None:
    """The last lines of a pod's log; None when the node does not give it. Raises Forbidden."""
    return _log(cluster, pod, tailLines=str(lines))


def log_begin(cluster: Cluster, pod: Object) -> list[str] | None:
    """The first lines of a pod's log; None when the node does not give it. Raises Forbidden."""
    return _log(cluster, pod, limitBytes=str(HEAD))


def _log(cluster: Cluster, pod: Object, **query: str) -> list[str] | None:
    if not any(
        at(each, "state").keys() & {"running", "terminated"}
        for each in items(pod, "status", "containerStatuses")
    ):
        return []
    try:
        return cluster.log(text(pod, "metadata", "namespace"), name(pod), **query).splitlines()
    except Forbidden:
        raise
    except ClusterError:
        return None
