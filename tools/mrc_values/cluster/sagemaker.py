"""Objects of ACK's SageMaker controller: a release's training job and hosting, and their states."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from mrc_values.cluster import reading
from mrc_values.cluster.client import Cluster, NotFound, Resource
from mrc_values.cluster.job import State
from mrc_values.cluster.objects import Object, at, condition, name, text, value
from mrc_values.cluster.reasons import MIN_AGE, Reason
from mrc_values.cluster.waiting import Observation

API = "/apis/sagemaker.services.k8s.aws/v1alpha1"

KINDS = {
    "TrainingJob": Resource(API, "trainingjobs"),
    "Model": Resource(API, "models"),
    "EndpointConfig": Resource(API, "endpointconfigs"),
    "Endpoint": Resource(API, "endpoints"),
}
"""The kinds that the chart sagemaker creates, in the order in which they come into being."""

_INSTANCE = "app.kubernetes.io/instance"

_RUNNING = ("Training", "Uploading")
"""Secondary states of a job that has started; in the others it waits for instances, images or data."""

_ENDED_EARLY = {
    "MaxRuntimeExceeded": "reached max_run_seconds",
    "MaxWaitTimeExceeded": "reached max_wait_seconds",
    "Interrupted": "was interrupted: its spot instances were taken",
}

_ORDER = (State.FAILED, State.STOPPED, State.DELETED, State.WAITING, State.RUNNING, State.FINISHED)
"""The state of several objects is the first of these that one of them is in."""


class _Condition(StrEnum):
    """Conditions that ACK's controllers set."""

    RECOVERABLE = "ACK.Recoverable"
    SYNCED = "ACK.ResourceSynced"
    TERMINAL = "ACK.Terminal"


@dataclass(frozen=True)
class Part:
    """An object as shown to the user.

    Attributes:
        reported: the state in SageMaker's words, such as ``InProgress, Downloading``; empty at first.
        model: location of a finished training job's model in S3.
    """

    kind: str
    name: str
    state: State
    reported: str
    reasons: Sequence[Reason]
    model: str

    @staticmethod
    def of(item: Object, now: datetime) -> "Part":
        """The part for an object of one of KINDS."""
        return Part(
            item["kind"],
            name(item),
            state(item),
            _status(item),
            list(_explain(item, now)),
            text(item, "status", "modelArtifacts", "s3ModelArtifacts"),
        )


def find(cluster: Cluster, release: str, namespace: str | None) -> list[Object]:
    """The newest object of each kind of a release, or those with this name; empty if there is none."""
    if cluster.served(API) is None:
        return []
    for candidate in reading.namespaces(cluster, namespace):
        newest = []
        for kind, resource in KINDS.items():
            items = [item | {"kind": kind} for item in _listed(cluster, resource, candidate)]
            own = [item for item in items if at(item, "metadata", "labels").get(_INSTANCE) == release]
            own = own or [item for item in items if name(item) == release]
            newest += sorted(own, key=lambda item: text(item, "metadata", "creationTimestamp"))[-1:]
        if newest:
            return newest
    return []


def _listed(cluster: Cluster, resource: Resource, namespace: str) -> list[Object]:
    """The objects of a kind; none if the cluster does not have it, as with an older controller."""
    try:
        return list(cluster.list(resource, namespace))
    except NotFound:
        return []


def read(cluster: Cluster, items: Sequence[Object]) -> list[Object]:
    """The same objects as they are now. Raises NotFound when one has been deleted."""
    return [
        cluster.get(KINDS[item["kind"]], name(item), text(item, "metadata", "namespace"))
        | {"kind": item["kind"]}
        for item in items
    ]


def parts(items: Sequence[Object]) -> list[Part]:
    """What is shown of objects."""
    now = datetime.now(UTC)
    return [Part.of(item, now) for item in items]


def overall(parts: Sequence[Part]) -> State:
    """The state of all parts together."""
    return min((part.state for part in parts), key=_ORDER.index)


def observation(parts: Sequence[Part]) -> Observation:
    """What a wait reports."""
    current = overall(parts)
    shown = [part for part in parts if part.reported and part.kind in ("TrainingJob", "Endpoint")]
    detail = "; ".join(f"{part.kind} {part.name}: {part.reported}" for part in shown)
    return Observation(current, detail, tuple(reason for part in parts for reason in part.reasons))


def state(item: Object) -> State:
    """The state of an object, from SageMaker's state of its resource."""
    status = at(item, "status")
    if value(item, "metadata", "deletionTimestamp"):
        return State.DELETED
    if item["kind"] == "TrainingJob":
        return _job_state(item)
    if item["kind"] == "Endpoint":
        return _endpoint_state(item)
    if at(status, "ackResourceMetadata").get("arn"):
        return State.FINISHED
    return State.FAILED if _holds(item, _Condition.TERMINAL) else State.WAITING


def _job_state(job: Object) -> State:
    status = text(job, "status", "trainingJobStatus")
    ended = {"Completed": State.FINISHED, "Failed": State.FAILED, "Stopped": State.STOPPED}
    if status in ended:
        return ended[status]
    if not status and _holds(job, _Condition.TERMINAL):
        return State.FAILED
    started = text(job, "status", "secondaryStatus") in _RUNNING or status == "Stopping"
    return State.RUNNING if started else State.WAITING


def _endpoint_state(endpoint: Object) -> State:
    status = text(endpoint, "status", "endpointStatus")
    if status == "InService":
        # After a failed update the endpoint serves its former configuration.
        if text(endpoint, "status", "failureReason"):
            return State.FAILED
        synced = condition(endpoint, _Condition.SYNCED).get("status") != "False"
        return State.FINISHED if synced else State.WAITING
    if status in ("Failed", "OutOfService", "UpdateRollbackFailed"):
        return State.FAILED
    return State.FAILED if not status and _holds(endpoint, _Condition.TERMINAL) else State.WAITING


def _status(item: Object) -> str:
    if item["kind"] == "Endpoint":
        return text(item, "status", "endpointStatus")
    if item["kind"] != "TrainingJob":
        return "Created" if state(item) is State.FINISHED else ""
    status, secondary = (text(item, "status", key) for key in ("trainingJobStatus", "secondaryStatus"))
    return ", ".join(part for part in (status, secondary if secondary != status else "") if part)


def _explain(item: Object, now: datetime) -> Iterator[Reason]:
    kind, title, current = item["kind"], name(item), state(item)
    failure = text(item, "status", "failureReason").strip().rstrip(".")
    if current is State.DELETED:
        yield Reason("job-deleted", f"the {kind} {title} is being deleted")
        return
    if current is State.STOPPED:
        secondary = text(item, "status", "secondaryStatus")
        how = _ENDED_EARLY.get(secondary, "was stopped before its end")
        yield Reason("job-stopped", f"the training job {title} {how}", "Set maskrcnn.run for another run.")
        return
    if current is State.FAILED and failure:
        if kind == "Endpoint" and text(item, "status", "endpointStatus") == "InService":
            yield Reason(
                "update-failed",
                f"the update of the endpoint {title} failed; it serves its former configuration: {failure}",
                f"aws logs tail /aws/sagemaker/Endpoints/{title}",
            )
            return
        fix = f"mrc-sagemaker logs {title}" if kind == "TrainingJob" else ""
        yield Reason("sagemaker-failed", f"the {kind} {title} failed: {failure}", fix)
        return
    if _holds(item, _Condition.TERMINAL):
        yield _terminal(item)
    elif _holds(item, _Condition.RECOVERABLE):
        message = text(condition(item, _Condition.RECOVERABLE), "message").strip().rstrip(".")
        yield Reason("sagemaker-retried", f"{kind} {title}: ACK's controller tries again after: {message}")
    elif current is State.WAITING and not at(item, "status") and _age(item, now) > MIN_AGE.total_seconds():
        yield Reason(
            "no-controller",
            f"ACK's SageMaker controller has not processed the {kind} {title}: it is not running, or it "
            "watches another namespace",
            "kubectl get pods --namespace ack-system",
        )


def _terminal(item: Object) -> Reason:
    """Why the controller has given up."""
    kind, title = item["kind"], name(item)
    message = text(condition(item, _Condition.TERMINAL), "message").strip().rstrip(".")
    if "already exist" in message:
        fix = "Set maskrcnn.run for another run." if kind == "TrainingJob" else "Delete that, or rename this."
        free = ", and a name is never free again" if kind == "TrainingJob" else ""
        return Reason("name-taken", f"a {kind} {title} already exists on SageMaker{free}", fix)
    return Reason("sagemaker-rejected", f"{kind} {title}: ACK's controller has given up: {message}")


def _holds(item: Object, kind: str) -> bool:
    return condition(item, kind).get("status") == "True"


def _age(item: Object, now: datetime) -> float:
    created = text(item, "metadata", "creationTimestamp")
    return (now - datetime.fromisoformat(created)).total_seconds() if created else 0.0
