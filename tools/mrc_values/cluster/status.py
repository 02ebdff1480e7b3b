"""The status of a job in the cluster: its objects, and the end and the beginning of its launcher's log."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from mrc_train import run_lines
from mrc_train.run_lines import EvaluationFailed, Progress

from mrc_values import runs
from mrc_values.cluster import claims, job, nccl, reading, reasons, zones
from mrc_values.cluster.client import Cluster
from mrc_values.cluster.job import Snapshot, State
from mrc_values.cluster.nccl import Transport
from mrc_values.cluster.objects import Object, at, items, name, text, value
from mrc_values.cluster.reasons import Reason

_MAX_LISTED_WORKERS = 8
"""With more workers, those that are ready and never restarted share a row."""


@dataclass(frozen=True)
class Pod:
    """A pod of the job. ``state`` is its phase, or the reason in its container's status."""

    name: str
    role: str
    state: str
    ready: bool
    restarts: int
    node: str


@dataclass(frozen=True)
class Status:
    """A job as shown to the user.

    Attributes:
        ranks_alive: ranks of the workers that are ready.
        evaluation: metrics of the last evaluation.
        failed_evaluation: an evaluation that failed after the last one that succeeded.
        run_dir, claim: the directory of logs and checkpoints, and the claim that it is on.
        seconds_since_step: since a running job last reported a step; None before the first step.
        ignored_change: what to do about a spec that was changed while the run is live, or empty.
        log: of the launcher: ``read``, ``empty`` (nothing printed yet) or ``gone`` (with its pod or node).
    """

    name: str
    namespace: str
    job: str
    state: str
    exit_code: int | None
    ranks: int
    ranks_alive: int
    progress: Progress | None
    checkpoint: str
    evaluation: Mapping[str, float]
    failed_evaluation: EvaluationFailed | None
    run_dir: str
    claim: str
    seconds_since_step: float | None
    log: str
    network: Transport
    network_advice: str
    ignored_change: str
    reasons: Sequence[Reason]
    pods: Sequence[Pod]

    def cells(self) -> tuple[str, ...]:
        """A row of the table with the columns runs.HEADER."""
        failed = self.state == State.FAILED and self.exit_code
        return runs.cells(
            self.name,
            f"{self.state} ({self.exit_code})" if failed else self.state,
            f"{self.ranks_alive}/{self.ranks}",
            self.progress,
            self.checkpoint,
            self.evaluation,
            running=self.state == State.RUNNING,
        )

    def pod_rows(self) -> list[tuple[str, str, str, str, str]]:
        """Rows of pod, state, ready, restarts, node; many healthy workers share one row."""
        workers = [pod for pod in self.pods if pod.role == "worker"]
        healthy = [pod for pod in workers if pod.ready and not pod.restarts]
        hidden = healthy if len(workers) > _MAX_LISTED_WORKERS else []
        rows = [
            (pod.name, pod.state, "yes" if pod.ready else "no", str(pod.restarts), pod.node)
            for pod in self.pods
            if pod not in hidden
        ]
        if hidden:
            nodes = len({pod.node for pod in hidden})
            rows.append((f"{len(hidden)} workers", "Running", "yes", "0", f"{nodes} nodes"))
        return rows

    def lines(self) -> list[str]:
        """The lines below the tables: reasons, failed evaluation, network, run directory."""
        lines = [f"why: {item}" for item in self.reasons]
        if stall := runs.stall_warning(self.seconds_since_step):
            lines.append(f"warning: {stall}")
        if failed := self.failed_evaluation:
            lines.append(
                f"warning: the evaluation of {failed.split} at step {failed.step} failed: {failed.reason}"
            )
        if network := nccl.sentence(self.network):
            lines.append(f"network: {network}   [{self.network.line}]")
        lines += [f"warning: {advice}" for advice in (self.network_advice, self.ignored_change) if advice]
        if self.run_dir:
            claim = f" on the claim {self.claim}" if self.claim else ""
            log = " (also has the launcher's log)" if self.log == "gone" else ""
            lines.append(f"run directory: {self.run_dir}{claim}{log}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The object of ``--format json``."""
        return asdict(self)


def status_of(cluster: Cluster, mpijob: Object) -> Status:
    """The status of a job, from its objects and its launcher's log."""
    snapshot = reading.read(cluster, mpijob)
    launcher = snapshot.launchers[-1] if snapshot.launchers else None
    stamped = reading.log_end(cluster, launcher, timestamps=True) if launcher else _no_log(mpijob)
    end = None if stamped is None else [_split_timestamp(line)[1] for line in stamped]
    complete = end is not None and len(end) < reading.TAIL
    start = end if launcher is None or complete or not end else reading.log_start(cluster, launcher)
    return summary(snapshot, end, start or (), _last_step(stamped or ()))


def _no_log(mpijob: Object) -> list[str] | None:
    """Without a launcher the log is empty before the job starts, and gone (None) afterwards."""
    return [] if job.state(mpijob) in (State.WAITING, State.SUSPENDED) else None


def _last_step(stamped: Sequence[str]) -> datetime | None:
    """When the newest step in a log with timestamps was reported."""
    for line in reversed(stamped):
        moment, text = _split_timestamp(line)
        if moment and Progress.parse(text):
            return moment
    return None


def _split_timestamp(line: str) -> tuple[datetime | None, str]:
    """Time and text of a line of a log with timestamps."""
    stamp, _, text = line.partition(" ")
    try:
        return datetime.fromisoformat(f"{stamp[:19]}+00:00"), text
    except ValueError:
        return None, line


def summary(
    snapshot: Snapshot, log: Sequence[str] | None, start: Sequence[str], last_step: datetime | None = None
) -> Status:
    """The status of a job, from its objects and its log.

    ``log`` is the end of the log (None: cannot be read), ``start`` its start, ``last_step`` the time at which
    the newest step was printed.
    """
    state = job.state(snapshot.job)
    snapshot = snapshot.with_log(log)
    launcher = snapshot.launchers[-1] if snapshot.launchers else None
    network = nccl.transport(start)
    reported = run_lines.summarize(log or ())
    slots = snapshot.ranks // max(snapshot.workers_wanted, 1)
    run_dir = job.run_dir(snapshot.job)
    return Status(
        name=at(snapshot.job, "metadata", "labels").get("app.kubernetes.io/instance", snapshot.name),
        namespace=text(snapshot.job, "metadata", "namespace"),
        job=snapshot.name,
        state=state.value,
        exit_code=job.exit_code(launcher) if launcher else None,
        ranks=snapshot.ranks,
        ranks_alive=slots * sum(map(job.ready, snapshot.workers)),
        progress=reported.progress,
        checkpoint=reported.checkpoint.name if reported.checkpoint else "",
        evaluation=reported.metrics,
        failed_evaluation=reported.failed,
        run_dir=run_dir,
        claim=_claim(snapshot.job, run_dir),
        seconds_since_step=_age(last_step, snapshot.time) if state is State.RUNNING else None,
        log="gone" if log is None else "read" if log else "empty",
        network=network,
        network_advice=network_advice(network, snapshot.job) or zones.advice(snapshot),
        ignored_change=job.ignored_change(snapshot),
        reasons=reasons.explain(snapshot),
        pods=[_pod(pod) for pod in (*snapshot.launchers, *snapshot.workers)],
    )


def _age(moment: datetime | None, now: datetime) -> float | None:
    """Seconds since a moment; 0 when the clocks of node and user differ."""
    return None if moment is None else max((now - moment).total_seconds(), 0.0)


def network_advice(network: Transport, mpijob: Object) -> str:
    """A warning when a job uses a slower network than its nodes have, else empty."""
    workers = value(mpijob, "spec", "mpiReplicaSpecs", "Worker", "replicas")
    return nccl.advice(network, _efa(mpijob), int(workers or 0))


def _pod(pod: Object) -> Pod:
    state = text(pod, "status", "reason") or text(pod, "status", "phase")
    for status in items(pod, "status", "containerStatuses"):
        for kind in ("waiting", "terminated"):
            state = text(status, "state", kind, "reason") or state
    if value(pod, "metadata", "deletionTimestamp"):
        state = "Terminating"
    return Pod(
        name(pod), job.role(pod), state, job.ready(pod), job.restarts(pod), text(pod, "spec", "nodeName")
    )


def _template(mpijob: Object, role: str) -> Object:
    return at(mpijob, "spec", "mpiReplicaSpecs", role, "template")


def _claim(mpijob: Object, run_dir: str) -> str:
    """The claim that the run directory is on: the charts name volumes after their mount paths."""
    volume = run_dir.lstrip("/").partition("/")[0]
    pod = _template(mpijob, "Launcher")
    volumes = [item for item in items(pod, "spec", "volumes") if item.get("name") == volume]
    return next(iter(claims.of_pod({"spec": {"volumes": volumes}})), "")


def _efa(mpijob: Object) -> int:
    containers = items(_template(mpijob, "Worker"), "spec", "containers")
    return sum(int(at(item, "resources", "limits").get("vpc.amazonaws.com/efa", 0)) for item in containers)
