"""Logs of a job's pods, followed over restarts of pods and cuts of connections."""

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from mrc_cli.errors import UserError

from mrc_values.cluster import client, job, waiting
from mrc_values.cluster.client import Cluster, ClusterError, Forbidden, NotFound, Unreachable
from mrc_values.cluster.objects import Object, at, items, name, text

PAUSE = 1.0
"""Seconds between two looks for new pods, and before a cut stream is opened again."""
SILENCE = 60.0
"""Seconds without a line after which a stream is opened again: a connection can be dead without a word."""

GRACE = 5.0
"""Seconds without a line after which the streams of a job that has ended are taken for ended as well."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z (.*)", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """A line that a pod printed."""

    pod: str
    text: str


class Place:
    """How far a log has been read, so that nothing comes twice when it is opened again.

    The server cuts times to whole seconds, so what it sends again is told by the lines' own times.
    """

    def __init__(self) -> None:
        self._time = ""
        self._at_time = 0
        self._again = 0

    def reopened(self) -> str:
        """From when on the log is to be read; empty at first."""
        self._again = 0
        return f"{self._time[:19]}Z" if self._time else ""

    def new(self, line: str) -> str | None:
        """The text of a line with its time in front, as the API sends it; None when it was read before."""
        found = _STAMP.match(line)
        if not found:
            return line
        moment = f"{found[1]}.{(found[2] or '').ljust(9, '0')}"
        if moment < self._time:
            return None
        if moment > self._time:
            self._time, self._at_time, self._again = moment, 1, 1
            return found[3]
        self._again += 1
        if self._again <= self._at_time:
            return None
        self._at_time = self._again
        return found[3]


def printed(cluster: Cluster, pods: Collection[Object]) -> Iterator[Line]:
    """What pods have printed so far, one after the other. Raises UserError where a log cannot be had."""
    for pod in pods:
        try:
            whole = cluster.log(text(pod, "metadata", "namespace"), name(pod), container=_container(pod))
        except Forbidden:
            raise
        except ClusterError as error:
            raise UserError(f"{name(pod)}: its log cannot be read: {error}") from None
        yield from (Line(name(pod), each) for each in whole.splitlines())


def follow(
    cluster: Cluster,
    namespace: str,
    title: str,
    roles: Collection[str],
    say: Callable[[str], None],
) -> Iterator[Line]:
    """What the job's pods of these roles print, as they print it, until the job has ended.

    Waits for pods that are not there yet, and takes up those that come later: a launcher that is tried again,
    a worker that is replaced. ``say`` hears of that. Raises ClusterError when the cluster stays away or
    refuses.
    """
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # more streams than its pool has
    lines: queue.Queue[Line | ClusterError] = queue.Queue()
    readers: dict[str, threading.Thread] = {}
    last_answer = last_line = time.monotonic()
    ended = False
    while True:
        ended_before = ended
        try:
            # Asked before the pods: what an ended job printed is in the pods that are listed after it.
            mpijob = cluster.find(client.MPIJOBS, title, namespace)
            ended = mpijob is None or job.state(mpijob) in (job.State.FINISHED, job.State.FAILED)
            pods = cluster.list(client.PODS, namespace, labels=f"{job.JOB_LABEL}={title}")
            for pod in sorted(pods, key=lambda each: text(each, "metadata", "creationTimestamp")):
                uid = text(pod, "metadata", "uid")
                if job.role(pod) in roles and uid not in readers and _started(pod):
                    if job.role(pod) == "launcher":
                        say(
                            f"{name(pod)} starts"
                            if not readers
                            else f"{name(pod)} starts, after one that failed"
                        )
                    readers[uid] = threading.Thread(target=_read, args=(cluster, pod, lines), daemon=True)
                    readers[uid].start()
                    if text(pod, "status", "phase") in ("Failed", "Succeeded"):
                        readers[uid].join(GRACE)  # its lines come before those of its successor
            last_answer = time.monotonic()
        except Unreachable as error:
            if time.monotonic() - last_answer > waiting.OUTAGE:
                raise
            say(f"{error} Waiting for it.")
        if ended and not ended_before:
            last_line = time.monotonic()
        done = ended and not any(thread.is_alive() for thread in readers.values())
        for line in _arrived(lines, 0 if done else PAUSE):
            last_line = time.monotonic()
            yield line
        if done or (ended and time.monotonic() - last_line > GRACE):
            return


def _arrived(lines: "queue.Queue[Line | ClusterError]", seconds: float) -> Iterator[Line]:
    end = time.monotonic() + seconds
    while True:
        try:
            found = lines.get(timeout=max(end - time.monotonic(), 0.001))
        except queue.Empty:
            return
        if isinstance(found, ClusterError):
            raise found
        yield found


def _read(cluster: Cluster, pod: Object, lines: "queue.Queue[Line | ClusterError]") -> None:
    """Reads one pod's log to its end, over cuts and restarts of its container."""
    place = Place()
    goes_on = text(pod, "status", "phase") == "Running"
    while True:
        try:
            for line in _stream(cluster, pod, place.reopened(), follow=goes_on):
                if (new := place.new(line)) is not None:
                    lines.put(Line(name(pod), new))
            # The stream ends with the container, or with a connection that was closed in good order.
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
            pass  # cut, or the container is just starting again: the main loop tells what lasts
        time.sleep(PAUSE)


def _stream(cluster: Cluster, pod: Object, since: str, *, follow: bool) -> Iterator[str]:
    namespace = text(pod, "metadata", "namespace")
    query = {"timestamps": "true", "container": _container(pod), "sinceTime": since}
    query |= {"follow": "true"} if follow else {}
    doing = f"get pods/log in namespace {namespace}, name {name(pod)}"
    url = client.PODS.url(namespace, name(pod), "log")
    with cluster.stream(url, query, doing, timeout=(client.TIMEOUT[0], SILENCE)) as answer:
        part = b""
        try:
            for piece in answer.stream(amt=2**16):
                *whole, part = (part + piece).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
        finally:
            answer.close()  # a stream that is not read to its end must not go back into the pool
        if part:
            yield part.decode(errors="replace")


def _container(pod: Object) -> str:
    """The container that does the work: a mesh or an agent may have put others behind it."""
    containers = items(pod, "spec", "containers")
    return text(containers[0], "name") if containers else ""


def _started(pod: Object) -> bool:
    statuses = items(pod, "status", "containerStatuses")
    return any(at(each, "state").keys() & {"running", "terminated"} for each in statuses)
