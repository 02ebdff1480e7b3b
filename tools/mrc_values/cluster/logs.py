"""The logs of a job's pods, followed across restarted pods and interrupted connections."""

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from mrc_cli.errors import UserError

from mrc_values.cluster import client, job, waiting
from mrc_values.cluster.client import Cluster, ClusterError, Forbidden, NotFound, Unreachable
from mrc_values.cluster.objects import Object, at, items, name, text

POLL_INTERVAL = 1.0
"""Seconds between two searches for new pods, and before an interrupted stream is reopened."""
STREAM_TIMEOUT = 60.0
"""Seconds without a line after which a stream is reopened, because its connection may be dead."""
END_TIMEOUT = 5.0
"""Seconds without a line after which the streams of a job that has ended are considered ended too."""
MAX_LINE_BYTES = 1 << 20
"""A longer line is split."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z (.*)", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """A line of a pod's log."""

    pod: str
    text: str


class ReadPosition:
    """How far a log has been read, so that no line is repeated when the stream is reopened.

    The server accepts only whole seconds, so repeated lines are recognized by their own timestamps.
    """

    def __init__(self) -> None:
        self._time = ""
        self._at_time = 0
        self._again = 0

    def reopened(self) -> str:
        """The time from which to read a stream that is opened now; empty for the first."""
        self._again = 0
        return f"{self._time[:19]}Z" if self._time else ""

    def new(self, line: str) -> str | None:
        """The text of a line that starts with a timestamp, or None when it has been read before."""
        match = _STAMP.match(line)
        if not match:
            return line
        moment = f"{match[1]}.{(match[2] or '').ljust(9, '0')}"
        if moment < self._time:
            return None
        if moment > self._time:
            self._time, self._at_time, self._again = moment, 1, 1
            return match[3]
        self._again += 1
        if self._again <= self._at_time:
            return None
        self._at_time = self._again
        return match[3]


def printed(cluster: Cluster, pods: Collection[Object]) -> Iterator[Line]:
    """The logs of pods so far, one pod after the other. Raises UserError when a log cannot be read."""
    for pod in pods:
        try:
            position = ReadPosition()
            for line in _stream(cluster, pod, position.reopened(), follow=False):
                if (new := position.new(line)) is not None:
                    yield Line(name(pod), new)
        except Forbidden:
            raise
        except ClusterError as error:
            raise UserError(f"{name(pod)}: its log cannot be read: {error}") from None


@dataclass(frozen=True)
class Followed:
    """A job as ``follow`` sees it: whether it has ended, and its pods, both asked for again and again."""

    ended: Callable[[], bool]
    pods: Callable[[], Iterable[Object]]


def of_mpijob(cluster: Cluster, namespace: str, title: str, roles: Collection[str]) -> Followed:
    """The pods of an MPIJob with these roles."""

    def ended() -> bool:
        mpijob = cluster.find(client.MPIJOBS, title, namespace)
        return mpijob is None or job.state(mpijob) in (job.State.FINISHED, job.State.FAILED)

    def pods() -> Iterator[Object]:
        candidates = cluster.list(client.PODS, namespace, labels=f"{job.JOB_LABEL}={title}")
        return (pod for pod in candidates if job.role(pod) in roles)

    return Followed(ended, pods)


def follow(cluster: Cluster, followed: Followed, say: Callable[[str], None]) -> Iterator[Line]:
    """The lines of a job's pods as they are printed, until the job has ended.

    Waits for pods that do not exist yet, and includes those that are created later, such as a retried
    launcher or a replaced worker, which ``say`` reports. Raises ClusterError when the cluster stays
    unavailable or denies the request.
    """
    logging.getLogger("urllib3.connectionpool").setLevel(
        logging.ERROR
    )  # there are more streams than connections in its pool
    lines: queue.Queue[Line | ClusterError] = queue.Queue()
    readers: dict[str, threading.Thread] = {}
    last_answer = last_line = time.monotonic()
    ended = False
    while True:
        ended_before = ended
        try:
            # Asked before listing the pods, so that the pods of an ended job are all listed.
            ended = followed.ended()
            for pod in sorted(followed.pods(), key=lambda item: text(item, "metadata", "creationTimestamp")):
                uid = text(pod, "metadata", "uid")
                if uid not in readers and _started(pod):
                    if job.role(pod) == "launcher":
                        say(
                            f"{name(pod)} starts"
                            if not readers
                            else f"{name(pod)} starts, after one that failed"
                        )
                    readers[uid] = threading.Thread(target=_read, args=(cluster, pod, lines), daemon=True)
                    readers[uid].start()
                    if text(pod, "status", "phase") in ("Failed", "Succeeded"):
                        readers[uid].join(END_TIMEOUT)  # its lines must precede those of its successor
            last_answer = time.monotonic()
        except Unreachable as error:
            if time.monotonic() - last_answer > waiting.MAX_OUTAGE:
                raise
            say(f"{error} Waiting for it.")
        if ended and not ended_before:
            last_line = time.monotonic()
        done = ended and not any(thread.is_alive() for thread in readers.values())
        for line in _arrived(lines, 0 if done else POLL_INTERVAL):
            last_line = time.monotonic()
            yield line
        if done or (ended and time.monotonic() - last_line > END_TIMEOUT):
            return


def _arrived(lines: "queue.Queue[Line | ClusterError]", seconds: float) -> Iterator[Line]:
    end = time.monotonic() + seconds
    while True:
        try:
            result = lines.get(timeout=max(end - time.monotonic(), 0.001))
        except queue.Empty:
            return
        if isinstance(result, ClusterError):
            raise result
        yield result


def _read(cluster: Cluster, pod: Object, lines: "queue.Queue[Line | ClusterError]") -> None:
    """Read a pod's log to its end, across interrupted connections and container restarts."""
    position = ReadPosition()
    running = text(pod, "status", "phase") == "Running"
    while True:
        try:
            for line in _stream(cluster, pod, position.reopened(), follow=running):
                if (new := position.new(line)) is not None:
                    lines.put(Line(name(pod), new))
            # The stream ended with the container, or because the connection was closed.
            now = cluster.find(client.PODS, name(pod), text(pod, "metadata", "namespace"))
            if now is None or text(now, "metadata", "uid") != text(pod, "metadata", "uid"):
                return
            if text(now, "status", "phase") in ("Succeeded", "Failed"):
                return
        except NotFound:
            return
        except Forbidden as error:
            lines.put(error)
            return
        except ClusterError:
            pass  # interrupted, or the container is restarting; the main loop reports lasting outages
        time.sleep(POLL_INTERVAL)


def _stream(cluster: Cluster, pod: Object, since: str, *, follow: bool) -> Iterator[str]:
    namespace = text(pod, "metadata", "namespace")
    query = {"timestamps": "true", "container": _container(pod), "sinceTime": since}
    query |= {"follow": "true"} if follow else {}
    doing = f"get pods/log in namespace {namespace}, name {name(pod)}"
    url = client.PODS.url(namespace, name(pod), "log")
    with cluster.stream(url, query, doing, timeout=(client.TIMEOUT[0], STREAM_TIMEOUT)) as answer:
        partial = b""
        try:
            for piece in answer.stream(amt=2**16):
                *complete, partial = (partial + piece).split(b"\n")
                yield from (line.decode(errors="replace") for line in complete)
                if len(partial) > MAX_LINE_BYTES:
                    yield partial.decode(errors="replace")
                    partial = b""
        finally:
            answer.close()  # an unfinished stream must not be returned to the pool
        if partial:
            yield partial.decode(errors="replace")


def _container(pod: Object) -> str:
    """The first container; others may have been injected by a mesh or an agent."""
    containers = items(pod, "spec", "containers")
    return text(containers[0], "name") if containers else ""


def _started(pod: Object) -> bool:
    statuses = items(pod, "status", "containerStatuses")
    return any(at(item, "state").keys() & {"running", "terminated"} for item in statuses)
