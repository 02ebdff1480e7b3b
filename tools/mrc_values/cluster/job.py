"""A training job in the cluster, as read in one go."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from mrc_values.cluster.objects import Object, at, condition, items, name, text, value

JOB_LABEL = "training.kubeflow.org/job-name"
ROLE_LABEL = "training.kubeflow.org/job-role"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


class State(StrEnum):
    """How a job stands; the words of a local run where both have them."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True)
class Snapshot:
    """A job and all that tells why it waits; events are the namespace's, oldest first.

    ``claims``, ``nodes``, ``queues`` and ``workloads`` are None where the user may not read them, or the
    cluster does not have such objects. ``nodes`` are those that waiting pods may run on by their labels.
    ``log`` is the end of the newest launcher's log, None where it cannot be read.
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
        """The same job with its log; None when it cannot be read."""
        return replace(self, log=log)

    @property
    def name(self) -> str:
        """The job's."""
        return name(self.job)

    @property
    def launchers(self) -> list[Object]:
        """The launcher's pods, oldest first: a failed one stays, and another one comes."""
        found = [pod for pod in self.pods if role(pod) == "launcher"]
        return sorted(found, key=lambda pod: text(pod, "metadata", "creationTimestamp"))

    @property
    def workers(self) -> list[Object]:
        """The workers' pods by their numbers."""
        return sorted((pod for pod in self.pods if role(pod) == "worker"), key=number)

    @property
    def workers_wanted(self) -> int:
        """How many workers the job asks for."""
        return int(value(self.job, "spec", "mpiReplicaSpecs", "Worker", "replicas") or 0)

    @property
    def ranks(self) -> int:
        """MPI ranks: the workers' slots, and with that one GPU each."""
        return self.workers_wanted * int(value(self.job, "spec", "slotsPerWorker") or 1)

    def events_of(self, thing: Object) -> list[Object]:
        """An object's own events, oldest first."""
        uid = text(thing, "metadata", "uid")
        return [event for event in self.events if text(event, "involvedObject", "uid") == uid]


def state(job: Object) -> State:
    """An MPIJob's state by its conditions."""
    if condition(job, "Failed").get("status") == "True":
        return State.FAILED
    if condition(job, "Succeeded").get("status") == "True":
        return State.FINISHED
    if value(job, "metadata", "deletionTimestamp"):
        return State.DELETED
    if value(job, "spec", "runPolicy", "suspend"):
        return State.SUSPENDED
    return State.RUNNING if condition(job, "Running").get("status") == "True" else State.WAITING


def role(pod: Object) -> str:
    """``launcher`` or ``worker``."""
    return str(at(pod, "metadata", "labels").get(ROLE_LABEL, ""))


def number(pod: Object) -> int:
    """A worker's number, 3 of ``demo-worker-3``."""
    found = re.search(r"-(\d+)$", name(pod))
    return int(found[1]) if found else 0


def ready(pod: Object) -> bool:
    """Whether a pod is ready."""
    return condition(pod, "Ready").get("status") == "True"


def restarts(pod: Object) -> int:
    """How often a pod's containers have been started again."""
    return sum(int(each.get("restartCount", 0)) for each in items(pod, "status", "containerStatuses"))


def exit_code(pod: Object) -> int | None:
    """The exit code of a pod's first container; None before it has ended."""
    for status in items(pod, "status", "containerStatuses"):
        code = value(status, "state", "terminated", "exitCode")
        return None if code is None else int(code)
    return None


def environment(job: Object) -> dict[str, str]:
    """The launcher's variables that the job gives as text."""
    containers = items(job, "spec", "mpiReplicaSpecs", "Launcher", "template", "spec", "containers")
    return {each["name"]: text(each, "value") for each in items(containers[0], "env")} if containers else {}


def run_dir(job: Object) -> str:
    """Where the run's log and checkpoints lie, as its pods see it: ``/efs/kubeflow/demo``."""
    variables = environment(job)
    return re.sub(
        r"\$\((\w+)\)", lambda found: variables.get(found[1], found[0]), variables.get("RUN_DIR", "")
    )


def happened(event: Object) -> str:
    """When an event was seen last, as text that sorts."""
    return (
        text(event, "lastTimestamp")
        or text(event, "eventTime")
        or text(event, "metadata", "creationTimestamp")
    )
