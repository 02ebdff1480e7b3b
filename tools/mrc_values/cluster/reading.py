"""Reads a job, and the objects that explain its state, from the API."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from mrc_cli.errors import UserError

from mrc_values.cluster import client, job, scheduling, zones
from mrc_values.cluster.client import Cluster, ClusterError, Forbidden, NotFound, Resource
from mrc_values.cluster.job import Snapshot, State
from mrc_values.cluster.objects import Object, at, items, name, text

JOBS = Resource("/apis/batch/v1", "jobs")
WORKLOADS = Resource("/apis/kueue.x-k8s.io/v1beta1", "workloads")

NAMESPACE = "kubeflow"
"""The charts' default namespace."""

TAIL = 2000
"""Lines read from the end of a launcher's log: hours, with a line every few seconds."""


class JobNotFound(UserError):
    """The cluster has no such MPIJob."""


def namespaces(cluster: Cluster, namespace: str | None) -> list[str]:
    """Namespaces in which a release's objects may be: the given one, or that of the context.

    The objects of a release in ``default`` are in kubeflow by default.
    """
    first = namespace or cluster.namespace
    return [first, NAMESPACE] if first == "default" else [first]


def find(cluster: Cluster, release: str, namespace: str | None) -> Object:
    """The newest MPIJob of a release, or the MPIJob with this name. Raises JobNotFound."""
    candidates = namespaces(cluster, namespace)
    for candidate in candidates:
        try:
            result = list(cluster.list(client.MPIJOBS, candidate))
        except NotFound:
            raise JobNotFound(
                "the cluster does not have the resource MPIJob. "
                "Install the operator: helm install mpijob charts/mpijob."
            ) from None
        own = [
            item
            for item in result
            if at(item, "metadata", "labels").get("app.kubernetes.io/instance") == release
        ]
        own = own or [item for item in result if name(item) == release]
        if own:
            return max(own, key=lambda item: text(item, "metadata", "creationTimestamp"))
    raise JobNotFound(
        f"no training job {release} in the namespace {' or '.join(candidates)}. "
        "See mrc-values list; --namespace selects another one."
    )


def read(cluster: Cluster, mpijob: Object) -> Snapshot:
    """A job with its pods, events and other objects that explain its state, without its log."""
    namespace, title = text(mpijob, "metadata", "namespace"), name(mpijob)
    result = Snapshot(
        mpijob,
        pods=list(cluster.list(client.PODS, namespace, labels=f"{job.JOB_LABEL}={title}")),
        events=sorted(cluster.list(client.EVENTS, namespace), key=job.happened),
        launcher_job=cluster.find(JOBS, f"{title}-launcher", namespace),
        claims=_if_allowed(lambda: cluster.list(client.CLAIMS, namespace)),
    )
    placed = [
        pod for pod in result.pods if not text(pod, "spec", "nodeName") or zones.uses_efa(at(pod, "spec"))
    ]
    if placed:
        result = replace(result, nodes=_nodes(cluster, placed))
    if job.state(mpijob) is State.SUSPENDED and job.QUEUE_LABEL in at(mpijob, "metadata", "labels"):
        result = replace(
            result,
            queues=_if_allowed(lambda: cluster.list(client.LOCAL_QUEUES, namespace)),
            workloads=_if_allowed(lambda: cluster.list(WORKLOADS, namespace)),
        )
    return result


def _nodes(cluster: Cluster, pods: Iterable[Object]) -> list[Object] | None:
    """The nodes whose labels match the pods; None when the user is not allowed to list nodes."""
    result: dict[str, Object] = {}
    for labels in {scheduling.selector(pod) for pod in pods}:
        if labels:
            nodes = _if_allowed(partial(cluster.list, client.NODES, labels=labels))
            if nodes is None:
                return None
            result |= {name(node): node for node in nodes}
    return list(result.values())


def _if_allowed(listed: Callable[[], Iterable[Object]]) -> list[Object] | None:
    """A list of objects, or None when the user is not allowed to read them or their kind does not exist."""
    try:
        return list(listed())
    except (Forbidden, NotFound):
        return None


def log_end(cluster: Cluster, pod: Object, lines: int = TAIL, timestamps: bool = False) -> list[str] | None:
    """The last lines of a pod's log; None when the node does not return it. Raises Forbidden.

    With ``timestamps`` each line starts with its time and a space.
    """
    return _log(cluster, pod, tailLines=str(lines), timestamps="true" if timestamps else "")


def log_start(cluster: Cluster, pod: Object) -> list[str] | None:
    """The first lines of a pod's log; None when the node does not return it. Raises Forbidden."""
    return _log(cluster, pod, limitBytes=str(client.MAX_LOG_BYTES))


def _log(cluster: Cluster, pod: Object, **query: str) -> list[str] | None:
    if not any(
        at(item, "state").keys() & {"running", "terminated"}
        for item in items(pod, "status", "containerStatuses")
    ):
        return []
    try:
        return cluster.log(text(pod, "metadata", "namespace"), name(pod), **query).splitlines()
    except Forbidden:
        raise
    except ClusterError:
        return None
