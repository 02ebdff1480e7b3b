"""A training job in the cluster: a snapshot of its objects, and functions that read them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from mrc_values.cluster.objects import Object, at, condition, items, name, text, value

JOB_LABEL = "training.kubeflow.org/job-name"
ROLE_LABEL = "training.kubeflow.org/job-role"
SETTINGS = "mask-rcnn/settings-sha256"
"""The annotation of a job and of its pods with a hash of the settings."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


class State(StrEnum):
    """The state of a job, with the same words as for local runs."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True)
class Snapshot:
    """A job and the objects that explain its state.

    Attributes:
        events: all events in the namespace, oldest first. claims, queues, workloads: None when the user is
        not allowed to read them or their kind does not exist. nodes: those whose labels match pods that
        wait or use EFA; None when the user is not allowed to read them. log: the end of the newest launcher's
        log; None when it cannot be read.
    """

    job: Object
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    launcher_job: Object | None = None
    claims: Sequence[Object] | None = None
    nodes: Sequence[Object] | None = None
    queues: Sequence[Object] | None = None
    workloads: Sequence[Object] | None = None
    log: Sequence[str] | None = None
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def with_log(self, log: Sequence[str] | None) -> "Snapshot":
        """This snapshot with the end of a log."""
        return replace(self, log=log)

    @property
    def name(self) -> str:
        """The name of the job."""
        return name(self.job)

    @property
    def launchers(self) -> list[Object]:
        """The launcher pods, oldest first; a failed one is kept when another is started."""
        result = [pod for pod in self.pods if role(pod) == "launcher"]
        return sorted(result, key=lambda pod: text(pod, "metadata", "creationTimestamp"))

    @property
    def workers(self) -> list[Object]:
        """The worker pods, sorted by number."""
        return sorted((pod for pod in self.pods if role(pod) == "worker"), key=number)

    @property
    def workers_wanted(self) -> int:
        """The number of workers in the job's spec."""
        return int(value(self.job, "spec", "mpiReplicaSpecs", "Worker", "replicas") or 0)

    @property
    def ranks(self) -> int:
        """The number of MPI ranks: the slots of all workers."""
        return self.workers_wanted * int(value(self.job, "spec", "slotsPerWorker") or 1)

    def events_of(self, item: Object) -> list[Object]:
        """The events about an object, oldest first."""
        uid = text(item, "metadata", "uid")
        return [event for event in self.events if text(event, "involvedObject", "uid") == uid]


def state(job: Object) -> State:
    """The state of an MPIJob, from its conditions."""
    return state_of(
        job,
        finished="Succeeded",
        suspended=bool(value(job, "spec", "runPolicy", "suspend")),
        running=condition(job, "Running").get("status") == "True",
    )


def state_of(item: Object, finished: str, suspended: bool, running: bool) -> State:
    """The state of an MPIJob or Job; ``finished`` is the condition of one that succeeded."""
    if condition(item, "Failed").get("status") == "True":
        return State.FAILED
    if condition(item, finished).get("status") == "True":
        return State.FINISHED
    if value(item, "metadata", "deletionTimestamp"):
        return State.DELETED
    if suspended:
        return State.SUSPENDED
    return State.RUNNING if running else State.WAITING


def ignored_change(snapshot: Snapshot) -> str:
    """What to do about a job whose spec was changed after its pods had started; empty if it was not.

    The MPI Operator ignores such a change. Helm rejects it, but `kubectl apply` and GitOps tools do not.
    """
    templates = [at(snapshot.launcher_job or {}, "spec", "template"), *snapshot.pods]
    started = [pod for pod in templates if at(pod, "metadata", "annotations").get(SETTINGS)]
    wanted = at(snapshot.job, "metadata", "annotations").get(SETTINGS)
    if not started or not wanted or at(started[0], "metadata", "annotations")[SETTINGS] == wanted:
        return ""
    replica = "Launcher" if started[0] is templates[0] or role(started[0]) == "launcher" else "Worker"
    template = at(snapshot.job, "spec", "mpiReplicaSpecs", replica, "template")
    old, new = (_image(pod) for pod in (started[0], template))
    which = f" (image {old}, not {new})" if old != new else ""
    return (
        "the MPIJob was changed after its pods had started, which the MPI Operator ignores: the run has the "
        f"earlier settings{which}. Set maskrcnn.run for a new run, or delete the MPIJob and apply it again "
        "to resume with the new settings."
    )


def _image(pod: Object) -> str:
    return next((text(item, "image") for item in items(pod, "spec", "containers")), "")


def role(pod: Object) -> str:
    """``launcher`` or ``worker``."""
    return str(at(pod, "metadata", "labels").get(ROLE_LABEL, ""))


def number(pod: Object) -> int:
    """The number of a worker: 3 for ``demo-worker-3``."""
    match = re.search(r"-(\d+)$", name(pod))
    return int(match[1]) if match else 0


def ready(pod: Object) -> bool:
    """Whether a pod is ready."""
    return condition(pod, "Ready").get("status") == "True"


def restarts(pod: Object) -> int:
    """How often a pod's containers have been restarted."""
    return sum(int(item.get("restartCount", 0)) for item in items(pod, "status", "containerStatuses"))


def exit_code(pod: Object) -> int | None:
    """The exit code of a pod's first container; None before it has ended."""
    for status in items(pod, "status", "containerStatuses"):
        code = value(status, "state", "terminated", "exitCode")
        return None if code is None else int(code)
    return None


def environment(job: Object) -> dict[str, str]:
    """The launcher's variables that have plain values."""
    containers = items(job, "spec", "mpiReplicaSpecs", "Launcher", "template", "spec", "containers")
    return {item["name"]: text(item, "value") for item in items(containers[0], "env")} if containers else {}


def run_dir(job: Object) -> str:
    """The directory of the run's log and checkpoints in its pods, such as ``/efs/kubeflow/demo``."""
    variables = environment(job)
    return re.sub(
        r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), variables.get("RUN_DIR", "")
    )


def happened(event: Object) -> str:
    """When an event last occurred, as a sortable string."""
    return (
        text(event, "lastTimestamp")
        or text(event, "eventTime")
        or text(event, "metadata", "creationTimestamp")
    )
