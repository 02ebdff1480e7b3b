"""What `mrc-values status` tells of a job in the cluster."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mrc_values import runs
from mrc_values.cluster import claims, job, nccl, reading, reasons
from mrc_values.cluster.client import Cluster
from mrc_values.cluster.job import Snapshot, State
from mrc_values.cluster.nccl import Transport
from mrc_values.cluster.objects import Object, at, items, name, text, value
from mrc_values.cluster.reasons import Reason
from mrc_values.launcher_log import without_colors, without_tag
from mrc_values.local.progress import Progress, parse_line

_SAVED = re.compile(r"Model saved to (\S+?)\.?$")
_METRIC = re.compile(r"^(?:.*\] )?(\S*(?:bbox/|segm/|mAP\((?:bbox|segm)\)/)\S+): ([\d.eE+-]+)$")

_MANY = 8
"""So many pods are shown one by one; of more only those that differ."""


@dataclass(frozen=True)
class Pod:
    """A pod of the job. ``state`` is its phase, or the reason that its container gives."""

    name: str
    role: str
    state: str
    ready: bool
    restarts: int
    node: str


@dataclass(frozen=True)
class Status:
    """A job as a user sees it. ``ranks_alive`` counts the ranks of workers that are ready.

    ``run_dir`` and ``claim`` say where log and checkpoints lie. ``log`` is ``read``, ``empty`` (nothing
    printed yet) or ``gone`` (its pod is, or the node does not give it).
    """

    name: str
    namespace: str
    job: str
    state: str
    exit_code: int | None
    ranks: int
    ranks_alive: int
    progress: Progress
    checkpoint: str
    evaluation: dict[str, float]
    run_dir: str
    claim: str
    log: str
    network: Transport
    network_advice: str
    reasons: Sequence[Reason]
    pods: Sequence[Pod]

    def cells(self) -> tuple[str, ...]:
        """A row of the table, under runs.HEADER."""
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
        """Rows of pod, state, ready, restarts, node; of many workers those that differ."""
        workers = [pod for pod in self.pods if pod.role == "worker"]
        usual = [pod for pod in workers if pod.ready and not pod.restarts]
        hidden = usual if len(workers) > _MANY else []
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
        """What stands under the tables: why it waits, the network, the folder."""
        found = [f"why: {each}" for each in self.reasons]
        if network := nccl.sentence(self.network):
            found.append(f"network: {network}   [{self.network.line}]")
        if self.network_advice:
            found.append(f"warning: {self.network_advice}")
        where = f"{self.run_dir} on the claim {self.claim}" if self.claim else self.run_dir
        if where:
            found.append(
                f"folder: {where}" + (" (the launcher's log is there too)" if self.log == "gone" else "")
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """The object of ``--format json``."""
        return asdict(self)


def status_of(cluster: Cluster, mpijob: Object) -> Status:
    """How a job stands, by its objects and its launcher's log."""
    snapshot = reading.read(cluster, mpijob)
    launcher = snapshot.launchers[-1] if snapshot.launchers else None
    end = reading.log_end(cluster, launcher) if launcher else _no_log(mpijob)
    whole = end is not None and len(end) < reading.TAIL
    begin = end if launcher is None or whole or not end else reading.log_begin(cluster, launcher)
    return summary(snapshot, end, begin or ())


def _no_log(mpijob: Object) -> list[str] | None:
    """Nothing has been printed before there is a launcher; afterwards it went with its pod."""
    return [] if job.state(mpijob) in (State.WAITING, State.SUSPENDED) else None


def summary(snapshot: Snapshot, log: Sequence[str] | None, begin: Sequence[str]) -> Status:
    """The status of a job, from its objects, the end of its log (None: cannot be read) and its begin."""
    state = job.state(snapshot.job)
    snapshot = snapshot.with_log(log)
    launcher = snapshot.launchers[-1] if snapshot.launchers else None
    network = nccl.transport(begin)
    slots = snapshot.ranks // max(snapshot.workers_wanted, 1)
    folder = job.run_dir(snapshot.job)
    return Status(
        name=at(snapshot.job, "metadata", "labels").get("app.kubernetes.io/instance", snapshot.name),
        namespace=text(snapshot.job, "metadata", "namespace"),
        job=snapshot.name,
        state=state.value,
        exit_code=job.exit_code(launcher) if launcher else None,
        ranks=snapshot.ranks,
        ranks_alive=slots * sum(map(job.ready, snapshot.workers)),
        progress=_progress(log or ()),
        checkpoint=_checkpoint(log or ()),
        evaluation=_evaluation(log or ()),
        run_dir=folder,
        claim=_claim(snapshot.job, folder),
        log="gone" if log is None else "read" if log else "empty",
        network=network,
        network_advice=network_advice(network, snapshot.job),
        reasons=reasons.explain(snapshot),
        pods=[_pod(pod) for pod in (*snapshot.launchers, *snapshot.workers)],
    )


def network_advice(network: Transport, mpijob: Object) -> str:
    """A warning when a job's nodes could talk faster than they do, else empty."""
    workers = value(mpijob, "spec", "mpiReplicaSpecs", "Worker", "replicas")
    return nccl.advice(network, _efa(mpijob), int(workers or 0))


def _progress(lines: Sequence[str]) -> Progress:
    return next((found for line in reversed(lines) if (found := parse_line(line))), Progress())


def _checkpoint(lines: Sequence[str]) -> str:
    found = next((hit for line in reversed(lines) if (hit := _SAVED.search(_plain(line)))), None)
    return found[1].rpartition("/")[2] if found else ""


def _evaluation(lines: Iterable[str]) -> dict[str, float]:
    """The newest value of each metric that the log names."""
    hits = (_METRIC.match(_plain(line)) for line in lines if ("bbox" in line or "segm" in line))
    return {hit[1]: float(hit[2]) for hit in hits if hit}


def _plain(line: str) -> str:
    return without_colors(without_tag(line)).strip()


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


def _claim(mpijob: Object, folder: str) -> str:
    """The claim that is mounted where the run's folder is: volumes are called as their mount paths."""
    volume = folder.lstrip("/").partition("/")[0]
    pod = _template(mpijob, "Launcher")
    found = [each for each in items(pod, "spec", "volumes") if each.get("name") == volume]
    return next(iter(claims.of_pod({"spec": {"volumes": found}})), "")


def _efa(mpijob: Object) -> int:
    containers = items(_template(mpijob, "Worker"), "spec", "containers")
    return sum(int(at(each, "resources", "limits").get("vpc.amazonaws.com/efa", 0)) for each in containers)
