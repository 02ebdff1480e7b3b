"""Why a job is waiting or has failed: one sentence for each cause, from the objects alone."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mrc_values import printed
from mrc_values.cluster import claims, containers, rejections, scheduling
from mrc_values.cluster.job import QUEUE_LABEL, Snapshot, State, ready, role, state
from mrc_values.cluster.objects import Object, at, condition, items, name, text, value
from mrc_values.cluster.scheduling import Cause
from mrc_values.launcher_log import last_error

MIN_AGE = timedelta(seconds=10)
"""Controllers may not have processed a younger job or pod yet."""

_MAX_NAMED_PODS = 3


@dataclass(frozen=True)
class Reason:
    """A cause and the pods that it affects; no pods when it affects the job as a whole.

    ``reason`` is a stable identifier for programs; ``text`` and ``fix`` are for people.
    """

    reason: str
    text: str
    fix: str = ""
    pods: tuple[str, ...] = ()

    def __str__(self) -> str:
        who = ", ".join(self.pods[:_MAX_NAMED_PODS])
        if len(self.pods) > _MAX_NAMED_PODS:
            who += f" and {len(self.pods) - _MAX_NAMED_PODS} more"
        return " ".join(f"{who + ': ' if who else ''}{self.text}. {self.fix}".split())


def explain(snapshot: Snapshot) -> list[Reason]:
    """All causes, those of the job as a whole first; empty when the job is running or has finished."""
    result = list(_of_job(snapshot))
    if state(snapshot.job) not in (State.FINISHED, State.SUSPENDED, State.DELETED):
        pods = [*snapshot.launchers[-1:], *snapshot.workers]
        if state(snapshot.job) is State.FAILED:
            pods = [pod for pod in pods if text(pod, "status", "phase") == "Failed"]
        result += of_pods(snapshot, pods)
    return result + list(_of_launch(snapshot, waits=not result))


def _of_job(snapshot: Snapshot) -> Iterator[Reason]:
    job, current = snapshot.job, state(snapshot.job)
    if current is State.DELETED:
        yield Reason("job-deleted", "the job is being deleted")
    if current is State.FAILED:
        yield _failure(snapshot)
    if current is State.SUSPENDED:
        yield _suspension(snapshot)
    if current is not State.WAITING:
        return
    events = snapshot.events_of(job)
    if rejection := _rejection(snapshot, events):
        yield rejection
    elif not items(job, "status", "conditions") and not snapshot.pods and _old(snapshot.time, job):
        # For a large job it creates all workers before it sets a condition.
        yield Reason(
            "no-operator",
            "the MPI Operator has not processed the job: it is not running, or it watches another namespace",
            "helm status mpijob; kubectl get pods --all-namespaces --selector app.kubernetes.io/name=mpijob",
        )
    if snapshot.launcher_job and not snapshot.launchers:
        for event in reversed(snapshot.events_of(snapshot.launcher_job)):
            if event.get("reason") == "FailedCreate":
                cause = rejections.explain(text(event, "message"))
                yield Reason(cause.id, f"launcher: {cause.text}", cause.fix)
                break


def _rejection(snapshot: Snapshot, events: Sequence[Object]) -> Reason | None:
    """Why the operator cannot create the job's objects; ignored once it has created them."""
    complete = len(snapshot.workers) >= snapshot.workers_wanted and snapshot.launcher_job is not None
    for event in reversed(events):
        reason, message = event.get("reason", ""), text(event, "message")
        if reason == "ValidationError":
            message = message.removeprefix("Found validation errors: ").rstrip(".")
            return Reason(
                "invalid-job", f"the MPI Operator rejects the job: {message}", "Correct the values."
            )
        if reason == "ErrResourceExists" and not complete:
            taken = re.search(r'Resource "([^"]+)"', message)
            return Reason(
                "name-taken",
                f"an object {taken[1] if taken else snapshot.name} exists that does not belong to the job",
                "Delete it, or set maskrcnn.name to another name.",
            )
        if reason == "MPIJobFailed" and "created failed" in message and not complete:
            part, _, what = message.partition(" pod created failed: ")
            cause = rejections.explain(what)
            return Reason(cause.id, f"{part}s: {cause.text}".replace("launchers:", "launcher:"), cause.fix)
    return None


def _failure(snapshot: Snapshot) -> Reason:
    why = condition(snapshot.job, "Failed")
    reason, message = text(why, "reason"), text(why, "message").rstrip(".: ")
    if reason.startswith("BackoffLimitExceeded"):
        limit = value(snapshot.job, "spec", "runPolicy", "backoffLimit")
        times = max(len(snapshot.launchers), 1)
        error = last_error(snapshot.log or ()).rstrip(".")
        return Reason(
            "backoff-limit",
            f"the launcher has failed {times} time{'' if times == 1 else 's'}, "
            f"maskrcnn.backoff_limit is {limit}" + (f"; its error: {error}" if error else ""),
            f"Read {_logs(snapshot)}; then delete and install to resume from the newest checkpoint.",
        )
    if reason == "DeadlineExceeded":
        return Reason("deadline", "the job ran longer than its activeDeadlineSeconds", "Set a longer one.")
    if "vict" in reason:
        return Reason(
            "evicted",
            f"workers were evicted: {message}",
            "Delete and install to resume from the newest checkpoint.",
        )
    return Reason("job-failed", f"the job has failed: {message or reason}", f"Read {_logs(snapshot)}.")


def _logs(snapshot: Snapshot, *words: str) -> str:
    """The command that prints the job's log."""
    return printed.cluster("logs", snapshot.name, text(snapshot.job, "metadata", "namespace"), *words)


def _suspension(snapshot: Snapshot) -> Reason:
    queue = at(snapshot.job, "metadata", "labels").get(QUEUE_LABEL)
    if not queue:
        return Reason(
            "suspended",
            "the job is suspended",
            f"Resume it with: kubectl patch mpijob {snapshot.name} "
            f"--namespace {text(snapshot.job, 'metadata', 'namespace')} --type merge "
            """--patch '{"spec":{"runPolicy":{"suspend":false}}}'""",
        )
    if snapshot.queues is not None and queue not in map(name, snapshot.queues):
        return Reason(
            "queue-missing",
            f"the queue {queue} does not exist in this namespace",
            "Set maskrcnn.queue to one that `kubectl get localqueues` lists.",
        )
    for workload in snapshot.workloads or ():
        owners = items(workload, "metadata", "ownerReferences")
        if any(owner.get("uid") == text(snapshot.job, "metadata", "uid") for owner in owners):
            message = text(condition(workload, "QuotaReserved"), "message").rstrip(".")
            if message:
                return Reason("queue", f"Kueue has not admitted the job in the queue {queue}: {message}", "")
    return Reason(
        "queue",
        f"Kueue has not admitted the job in the queue {queue} yet",
        "It starts when there is capacity.",
    )


def of_pods(snapshot: Snapshot, pods: Sequence[Object]) -> list[Reason]:
    """Why these pods are not running, grouped by cause."""
    together: dict[Cause, list[str]] = {}
    explain_scheduling = _once(snapshot)
    for pod in pods:
        if text(pod, "status", "phase") != "Succeeded" and (
            cause := _of_pod(pod, snapshot, explain_scheduling)
        ):
            together.setdefault(cause, []).append(name(pod))
    return [Reason(cause.id, cause.text, cause.fix, tuple(names)) for cause, names in together.items()]


def _once(snapshot: Snapshot) -> Callable[[str, Object], Cause]:
    """Explain each scheduler message once for all pods of a role, which have the same requests."""
    known: dict[tuple[str, str], Cause] = {}

    def explained(message: str, pod: Object) -> Cause:
        key = (message, role(pod))
        if key not in known:
            known[key] = scheduling.explain(message, pod, snapshot.nodes)
        return known[key]

    return explained


def _of_pod(
    pod: Object, snapshot: Snapshot, explain_scheduling: Callable[[str, Object], Cause]
) -> Cause | None:
    if text(pod, "spec", "nodeName"):
        return containers.explain(pod, snapshot.events_of(pod))
    scheduled = condition(pod, "PodScheduled")
    message = text(scheduled, "message")
    scheduler = text(pod, "spec", "schedulerName")
    if text(scheduled, "reason") == "SchedulingGated":
        gates = ", ".join(text(gate, "name") for gate in items(pod, "spec", "schedulingGates"))
        return Cause(
            "scheduling-gate",
            f"it is held by the scheduling gate {gates}",
            "It can be scheduled when the gate is removed.",
        )
    if re.search(r"\bgang\b|pod ?group", message, re.IGNORECASE):
        return Cause(
            "gang",
            f"the scheduler {scheduler} waits until the whole gang fits: {message.rstrip('.')}",
            "Wait until another job ends, use fewer workers, or add nodes.",
        )
    if message:
        if (cause := explain_scheduling(message, pod)).id == "claim-unbound":
            cause = claims.explain(pod, snapshot.claims or (), snapshot.events) or cause
        return Cause(cause.id, cause.text + _autoscaler(snapshot.events_of(pod)), cause.fix)
    if _old(snapshot.time, pod):
        return Cause(
            "no-scheduler",
            f"no scheduler named {scheduler} has processed it",
            "Start that scheduler, or install the job without maskrcnn.gang.",
        )
    return None


def _autoscaler(events: Sequence[Object]) -> str:
    """The action of an autoscaler for a pod, from its events."""
    for event in reversed(events):
        reason, message = event.get("reason"), text(event, "message").rstrip(".")
        if reason == "TriggeredScaleUp":
            return "; the cluster autoscaler is adding a node"
        if reason == "NotTriggerScaleUp":
            message = message.removeprefix("pod didn't trigger scale-up: ")
            return f"; the cluster autoscaler does not add one: {message}"
        if reason == "Nominated":
            return "; Karpenter is creating a node"
    return ""


_LAUNCH = (
    (
        r"launch: (?P<host>\S+) does not answer ssh after (?P<limit>\d+) s: (?P<why>.*)",
        "ssh",
        "the worker {host} did not answer ssh within {limit} s: {why}",
        "Check {worker_logs}: sshd must run in the image.",
    ),
    (
        r"launch: (?P<directory>\S+) is not writable for user (?P<user>\d+), group (?P<group>\d+)",
        "run-folder",
        "the directory {directory} is not writable for user {user}, group {group}",
        "Fix it with: mkdir -p {directory} && chown {user}:{group} {directory}; "
        "or set maskrcnn.run_as_user and run_as_group to its owner.",
    ),
    (
        r"launch: this image has no (?P<program>\S+)",
        "command-missing",
        "the image has no {program}",
        "Set maskrcnn.image to an image with a trainer.",
    ),
)


def _of_launch(snapshot: Snapshot, waits: bool) -> Iterator[Reason]:
    """What the launcher waits for, and errors of its launch command."""
    if state(snapshot.job) in (State.FINISHED, State.SUSPENDED, State.DELETED):
        return
    for pattern, reason, sentence, fix in _LAUNCH:
        if line_match := next(
            (match for line in snapshot.log or () if (match := re.search(pattern, line))), None
        ):
            fields = line_match.groupdict() | {"worker_logs": _logs(snapshot, "--workers")}
            yield Reason(reason, sentence.format(**fields), fix.format(**fields))
            return
    workers = snapshot.workers
    unready = [name(pod) for pod in workers if not ready(pod)]
    if state(snapshot.job) is State.WAITING and workers and unready and not snapshot.launchers:
        have = len(workers) - len(unready)
        yield Reason(
            "workers-not-ready",
            f"the launcher starts when all {snapshot.workers_wanted} workers are ready; {have} are",
        )
    launcher = snapshot.launchers[-1:] and snapshot.launchers[-1]
    if waits and state(snapshot.job) is State.WAITING and workers and not unready:
        yield from _of_ready_workers(snapshot, launcher or None)
    if launcher and waits and ready(launcher) and snapshot.log == [] and _old(snapshot.time, launcher):
        yield Reason(
            "ssh-wait", "the launcher waits until every worker answers ssh", f"See {_logs(snapshot)}."
        )


def _of_ready_workers(snapshot: Snapshot, launcher: Object | None) -> Iterator[Reason]:
    """Why a job is still waiting although all its workers are ready."""
    pods = [*snapshot.workers, *([launcher] if launcher else [])]
    changes = [changed for pod in pods if (changed := text(condition(pod, "Ready"), "lastTransitionTime"))]
    settled = all(snapshot.time - datetime.fromisoformat(changed) > MIN_AGE for changed in changes)
    if len(snapshot.workers) < snapshot.workers_wanted or not settled:
        return
    if launcher is None:
        yield Reason(
            "launcher-missing",
            f"all {snapshot.workers_wanted} workers are ready, but the launcher has not been created",
            "Check the MPI Operator's log: it creates the launcher.",
        )
    elif ready(launcher):
        yield Reason(
            "status-outdated",
            "the launcher and all workers are ready, but the MPI Operator has not updated the job's status",
            "Check that the MPI Operator is running.",
        )


def _old(now: datetime, item: Object) -> bool:
    created = text(item, "metadata", "creationTimestamp")
    return not created or now - datetime.fromisoformat(created) > MIN_AGE
