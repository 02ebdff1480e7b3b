"""Waits for a job and reports every change."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from mrc_values.cluster import client, job, reading, reasons
from mrc_values.cluster.client import Cluster, NotFound, Unreachable
from mrc_values.cluster.job import Snapshot, State
from mrc_values.cluster.reasons import Reason

POLL_INTERVAL = 2.0
"""Seconds between two requests. Unlike a watch, polling cannot expire or be interrupted."""
MAX_OUTAGE = 300.0
"""Seconds for which the API server may be unavailable: an upgrade of a control plane takes minutes."""


ENDED_EARLY = (State.FAILED, State.STOPPED, State.DELETED)
"""States in which no wait reaches its goal."""


class Goal(StrEnum):
    """The state to wait for."""

    RUNNING = "running"
    FINISHED = "finished"


class Outcome(StrEnum):
    """How a wait ended."""

    REACHED = "reached"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Observation:
    """The state of a job at one moment. With ``outage`` set, the rest is from the previous observation."""

    state: State
    detail: str = ""
    reasons: tuple[Reason, ...] = ()
    outage: str = ""

    @staticmethod
    def of(snapshot: Snapshot) -> "Observation":
        """The observation for a snapshot."""
        state, ready = job.state(snapshot.job), sum(map(job.ready, snapshot.workers))
        started = state in (State.WAITING, State.RUNNING)
        detail = f"{ready} of {snapshot.workers_wanted} workers ready" if started else ""
        return Observation(state, detail, tuple(reasons.explain(snapshot)))

    def headline(self) -> str:
        """``waiting, 3 of 5 workers ready``."""
        if self.outage:
            return self.outage
        return f"{self.state}, {self.detail}" if self.detail else self.state.value

    def lines(self) -> list[str]:
        """The headline and the reasons."""
        return [self.headline(), *(f"  {reason}" for reason in (() if self.outage else self.reasons))]

    def reached(self, goal: Goal) -> bool:
        """Whether the job has reached the goal."""
        if self.outage:
            return False
        return self.state is State.FINISHED or (goal is Goal.RUNNING and self.state is State.RUNNING)


def mpijob(cluster: Cluster, namespace: str, name: str) -> Observation:
    """The MPIJob now. Raises ClusterError."""
    return Observation.of(
        _with_log(cluster, reading.read(cluster, cluster.get(client.MPIJOBS, name, namespace)))
    )


def wait(
    observe: Callable[[], Observation],
    goal: Goal = Goal.FINISHED,
    timeout: float | None = None,
    show: Callable[[Observation], None] = lambda observation: None,
) -> tuple[Outcome, Observation]:
    """Wait until a job is running or has finished, and pass every observation to ``show``.

    Tolerates outages of the API server of up to MAX_OUTAGE seconds. The outcome is FAILED when the job has
    failed, was stopped or is being deleted. Raises ClusterError when the cluster stays unavailable or denies
    a request.
    """
    began = last_answer = time.monotonic()
    observation = Observation(State.WAITING)
    while True:
        try:
            observation = observe()
            last_answer = time.monotonic()
        except NotFound:
            gone = Reason("job-deleted", "the job has been deleted")
            observation = Observation(State.DELETED, reasons=(gone,))
        except Unreachable as error:
            if time.monotonic() - last_answer > MAX_OUTAGE:
                raise
            observation = replace(observation, outage=f"{error} Waiting for it.")
        show(observation)
        if observation.reached(goal):
            return Outcome.REACHED, observation
        if not observation.outage and observation.state in ENDED_EARLY:
            return Outcome.FAILED, observation
        if timeout is not None and time.monotonic() - began + POLL_INTERVAL > timeout:
            return Outcome.TIMEOUT, observation
        time.sleep(POLL_INTERVAL)


def _with_log(cluster: Cluster, snapshot: Snapshot) -> Snapshot:
    """The snapshot with the end of the launcher's log, unless the job has finished."""
    if not snapshot.launchers or job.state(snapshot.job) is State.FINISHED:
        return snapshot
    return snapshot.with_log(reading.log_end(cluster, snapshot.launchers[-1], lines=50))
