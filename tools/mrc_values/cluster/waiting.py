"""Waits for a job, and says what changes on the way."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mrc_values.cluster import client, job, reading, reasons
from mrc_values.cluster.client import Cluster, NotFound, Unreachable
from mrc_values.cluster.job import Snapshot, State
from mrc_values.cluster.reasons import Reason

PAUSE = 2.0
"""Seconds between two looks. Looking anew has no watch that could expire or be cut."""
OUTAGE = 300.0
"""Seconds for which the API server may be away: an upgrade of a control plane takes minutes."""


class Goal(StrEnum):
    """What is waited for."""

    RUNNING = "running"
    FINISHED = "finished"


class Outcome(StrEnum):
    """How a wait ended."""

    REACHED = "reached"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Look:
    """What one look saw. With ``trouble``, no answer, the rest is of the look before."""

    state: State
    ready: int
    workers: int
    reasons: tuple[Reason, ...]
    trouble: str = ""

    @staticmethod
    def at(snapshot: Snapshot) -> "Look":
        """What a snapshot shows."""
        return Look(
            job.state(snapshot.job),
            sum(map(job.ready, snapshot.workers)),
            snapshot.workers_wanted,
            tuple(reasons.explain(snapshot)),
        )

    def headline(self) -> str:
        """``waiting, 3 of 5 workers ready``."""
        if self.trouble:
            return self.trouble
        text = self.state.value
        if self.state in (State.WAITING, State.RUNNING):
            text += f", {self.ready} of {self.workers} workers ready"
        return text

    def lines(self) -> list[str]:
        """The headline and why it waits."""
        return [self.headline(), *(f"  {reason}" for reason in (() if self.trouble else self.reasons))]

    def reached(self, goal: Goal) -> bool:
        """Whether the job is where it was to get, or further."""
        if self.trouble:
            return False
        return self.state is State.FINISHED or (goal is Goal.RUNNING and self.state is State.RUNNING)


def wait(
    cluster: Cluster,
    namespace: str,
    name: str,
    goal: Goal = Goal.FINISHED,
    timeout: float | None = None,
    show: Callable[[Look], None] = lambda look: None,
) -> tuple[Outcome, Look]:
    """Waits until the MPIJob ``name`` runs or has finished; gives every look to ``show``.

    Goes on when the API server is away for at most OUTAGE seconds. FAILED: the job has failed or is being
    deleted.
    Raises ClusterError when the cluster stays away or refuses.
    """
    began = last_answer = time.monotonic()
    look = Look(State.WAITING, 0, 0, ())
    while True:
        try:
            mpijob = cluster.get(client.MPIJOBS, name, namespace)
            look = Look.at(_with_log(cluster, reading.read(cluster, mpijob)))
            last_answer = time.monotonic()
        except NotFound:
            look = Look(State.DELETED, 0, 0, (Reason("job-deleted", "the job has been deleted"),))
        except Unreachable as error:
            if time.monotonic() - last_answer > OUTAGE:
                raise
            look = Look(look.state, look.ready, look.workers, look.reasons, f"{error} Waiting for it.")
        show(look)
        if look.reached(goal):
            return Outcome.REACHED, look
        if not look.trouble and look.state in (State.FAILED, State.DELETED):
            return Outcome.FAILED, look
        if timeout is not None and time.monotonic() - began + PAUSE > timeout:
            return Outcome.TIMEOUT, look
        time.sleep(PAUSE)


def _with_log(cluster: Cluster, snapshot: Snapshot) -> Snapshot:
    """With the launcher's log when it tells why the job does not go on."""
    if not snapshot.launchers or job.state(snapshot.job) is State.FINISHED:
        return snapshot
    return snapshot.with_log(reading.log_end(cluster, snapshot.launchers[-1], lines=50))
