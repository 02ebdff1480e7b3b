"""Jobs of the chart stage-data: which data set they stage, how far they are, and why they wait or failed."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mrc_cli.errors import UserError

from mrc_values.cluster import client, job, logs, reading, reasons
from mrc_values.cluster.client import Cluster
from mrc_values.cluster.job import Snapshot, State
from mrc_values.cluster.logs import Line
from mrc_values.cluster.objects import Object, at, condition, items, name, text, value
from mrc_values.cluster.reasons import Reason
from mrc_values.cluster.waiting import Observation

_LABELS = "app.kubernetes.io/part-of=mask-rcnn,app.kubernetes.io/component=staging"
_INDEX = "batch.kubernetes.io/job-completion-index"
_PROGRAM = "mrc-stage: "
"""What the message of a command that failed begins with."""

_TAIL = 20
"""Lines from the end of a pod's log, which has a line every ten seconds."""


@dataclass(frozen=True)
class Shard:
    """A pod of the job. ``message`` is the last line of its log."""

    name: str
    index: int
    state: str
    node: str
    message: str


@dataclass(frozen=True)
class Status:
    """A staging job as shown to the user.

    Attributes:
        done, shards: pods that have succeeded, and that are needed.
        source, directory, claim: from where, to where in the pods (such as ``/efs/data``), on which claim.
    """

    name: str
    namespace: str
    job: str
    state: str
    done: int
    shards: int
    source: str
    directory: str
    claim: str
    reasons: Sequence[Reason]
    pods: Sequence[Shard]

    HEADER = ("name", "state", "shards", "source", "directory", "claim")

    def cells(self) -> tuple[str, ...]:
        """A row of the table with the columns HEADER."""
        shards = f"{self.done}/{self.shards}"
        return (self.name, self.state, shards, self.source, self.directory, self.claim)

    def pod_rows(self) -> list[tuple[str, str, str, str]]:
        """Rows of pod, state, node, last line of the log."""
        return [(pod.name, pod.state, pod.node, pod.message) for pod in self.pods]

    def lines(self) -> list[str]:
        """The lines below the tables."""
        return [f"why: {item}" for item in self.reasons]

    def to_json(self) -> dict[str, Any]:
        """The object of ``--format json``."""
        return asdict(self)


def find(cluster: Cluster, release: str, namespace: str | None) -> Object | None:
    """The newest staging job of a release, or the one with this name; None without one."""
    for candidate in reading.namespaces(cluster, namespace):
        candidates = [item for item in jobs(cluster, candidate) if release in (_release(item), name(item))]
        if candidates:
            return max(candidates, key=lambda item: text(item, "metadata", "creationTimestamp"))
    return None


def jobs(cluster: Cluster, namespace: str) -> list[Object]:
    """The staging jobs in a namespace."""
    return list(cluster.list(reading.JOBS, namespace, labels=_LABELS))


def pods(cluster: Cluster, staging: Object) -> list[Object]:
    """The pods of a job by shard, those of a shard oldest first; failed ones are kept."""
    labels = f"batch.kubernetes.io/job-name={name(staging)}"
    listed = cluster.list(client.PODS, text(staging, "metadata", "namespace"), labels=labels)
    return sorted(listed, key=lambda pod: (_index(pod), text(pod, "metadata", "creationTimestamp")))


def state(staging: Object) -> State:
    """The state of a job."""
    return job.state_of(
        staging,
        finished="Complete",
        suspended=bool(value(staging, "spec", "suspend")),
        running=bool(value(staging, "status", "ready")),
    )


def directory(staging: Object) -> str:
    """The data set's directory in the pods, such as ``/efs/data``."""
    container = _container(staging)
    variables = {item["name"]: text(item, "value") for item in items(container, "env")}
    argument = next((item for item in items(container, "args")[2:3]), "")
    return re.sub(r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), argument)


def source(staging: Object) -> str:
    """Where the data set comes from, such as ``s3://bucket/coco``."""
    return next((str(item) for item in items(_container(staging), "args")[1:2]), "")


def claim(staging: Object) -> str:
    """The claim that the data set is staged onto."""
    volumes = items(staging, "spec", "template", "spec", "volumes")
    claims = (text(volume, "persistentVolumeClaim", "claimName") for volume in volumes)
    return next(filter(None, claims), "")


def shards(staging: Object) -> tuple[int, int]:
    """Pods that have succeeded, and that are needed."""
    done = int(value(staging, "status", "succeeded") or 0)
    return done, int(value(staging, "spec", "completions") or 1)


def status_of(cluster: Cluster, staging: Object) -> Status:
    """The status of a job, from its objects and the ends of its pods' logs."""
    shard_pods = pods(cluster, staging)
    ends = {name(pod): reading.log_end(cluster, pod, _TAIL) or [] for pod in shard_pods}
    done, wanted = shards(staging)
    return Status(
        name=_release(staging) or name(staging),
        namespace=text(staging, "metadata", "namespace"),
        job=name(staging),
        state=state(staging).value,
        done=done,
        shards=wanted,
        source=source(staging),
        directory=directory(staging),
        claim=claim(staging),
        reasons=_reasons(cluster, staging, shard_pods, ends),
        pods=[
            Shard(
                name(pod), _index(pod), _pod_state(pod), text(pod, "spec", "nodeName"), _last(ends[name(pod)])
            )
            for pod in shard_pods
        ],
    )


def observe(cluster: Cluster, namespace: str, title: str) -> Observation:
    """The state of a job at this moment, for ``waiting.wait``. Raises NotFound when it does not exist."""
    status = status_of(cluster, cluster.get(reading.JOBS, title, namespace))
    started = status.state in (State.WAITING, State.RUNNING)
    detail = f"{status.done} of {status.shards} shards done" if started else ""
    return Observation(State(status.state), detail, tuple(status.reasons))


def log(cluster: Cluster, staging: Object, follow: bool, say: Callable[[str], None]) -> Iterator[Line]:
    """The lines of the pods' logs; with ``follow``, as they are printed until the job has ended.

    Raises UserError when there is none yet and not ``follow``.
    """
    if not follow:
        started = [pod for pod in pods(cluster, staging) if text(pod, "status", "phase") != "Pending"]
        if not started:
            why = " ".join(map(str, status_of(cluster, staging).reasons[:1]))
            raise UserError(f"{name(staging)}: no pod has started; -f waits for it. {why}".rstrip())
        return logs.printed(cluster, started)

    def ended() -> bool:
        now = cluster.find(reading.JOBS, name(staging), text(staging, "metadata", "namespace"))
        return now is None or state(now) in (State.FINISHED, State.FAILED)

    return logs.follow(cluster, logs.Followed(ended, lambda: pods(cluster, staging)), say)


def _reasons(
    cluster: Cluster, staging: Object, shard_pods: Sequence[Object], ends: dict[str, list[str]]
) -> list[Reason]:
    """Why pods wait, and the last message of failed ones, each once."""
    current = state(staging)
    if current is State.DELETED:
        return [Reason("job-deleted", "the job is being deleted")]
    if current is State.FINISHED:
        return []
    result = list(_failures(shard_pods, ends))
    if current is State.FAILED:
        why = condition(staging, "Failed")
        return result or [Reason("job-failed", f"{text(why, 'reason')}: {text(why, 'message')}".rstrip("."))]
    namespace = text(staging, "metadata", "namespace")
    waiting = [pod for pod in shard_pods if text(pod, "status", "phase") not in ("Succeeded", "Failed")]
    events = sorted(cluster.list(client.EVENTS, namespace), key=job.happened) if waiting else []
    claims = list(cluster.list(client.CLAIMS, namespace)) if waiting else []
    return result + reasons.of_pods(Snapshot({}, pods=waiting, events=events, claims=claims), waiting)


def _failures(shard_pods: Sequence[Object], ends: dict[str, list[str]]) -> Iterator[Reason]:
    messages: dict[str, list[str]] = {}
    for pod in shard_pods:
        if text(pod, "status", "phase") == "Failed":
            lines = [line for line in ends[name(pod)] if line.startswith(_PROGRAM)]
            if lines:
                messages.setdefault(lines[-1].removeprefix(_PROGRAM).rstrip("."), []).append(name(pod))
    for message, names in messages.items():
        yield Reason("staging-failed", message, "", tuple(names))


def _container(staging: Object) -> Object:
    containers = items(staging, "spec", "template", "spec", "containers")
    return next((item for item in containers if item.get("name") == "stage"), {})


def _release(staging: Object) -> str:
    return str(at(staging, "metadata", "labels").get("app.kubernetes.io/instance", ""))


def _index(pod: Object) -> int:
    text_index = str(at(pod, "metadata", "annotations").get(_INDEX, ""))
    return int(text_index) if text_index.isdecimal() else 0


def _pod_state(pod: Object) -> str:
    result = text(pod, "status", "reason") or text(pod, "status", "phase")
    for status in items(pod, "status", "containerStatuses"):
        for kind in ("waiting", "terminated"):
            result = text(status, "state", kind, "reason") or result
    return "Terminating" if value(pod, "metadata", "deletionTimestamp") else result


def _last(lines: Sequence[str]) -> str:
    return lines[-1].removeprefix(_PROGRAM) if lines else ""
