"""A port of this machine's loopback address that leads to a pod.

The official client's websocket does the forwarding, not the user's kubectl: each connection asks anew which
pod is ready, so that a replaced pod needs no new command, and no other program has to be there. Its protocol
does not tell when the pod's side of a connection closes: good for HTTP, whose answers say how long they are.
"""

import contextlib
import logging
import select
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from mrc_cli.errors import UserError

from mrc_values.cluster import client, reasons
from mrc_values.cluster.client import Cluster, ClusterError
from mrc_values.cluster.job import Snapshot, happened, ready
from mrc_values.cluster.objects import Object, at, items, name, text, value

COMPONENTS = {"jupyter": "notebook", "tensorboard": "dashboard"}
"""What can be opened, and the component that the charts label it as."""

_CHUNK = 2**16


@dataclass(frozen=True)
class Server:
    """A Deployment of the charts that serves a web page."""

    kind: str
    namespace: str
    name: str
    labels: str
    port: int
    secret: str
    """Name of the Secret with the key ``token``; empty when the server asks for none."""

    @property
    def scheme(self) -> str:
        """https where a token goes over the line."""
        return "https" if self.kind == "jupyter" else "http"


def server(cluster: Cluster, release: str, places: Sequence[str], kind: str) -> Server:
    """The server of a release in the first of some namespaces that has it. Raises UserError when none has."""
    labels = f"app.kubernetes.io/instance={release},app.kubernetes.io/component={COMPONENTS[kind]}"
    lists = (cluster.list(client.DEPLOYMENTS, place, labels=labels) for place in places)
    found = next(chain.from_iterable(lists), None)
    if found is None:
        image = " and jupyter.image" if kind == "jupyter" else ""
        raise UserError(
            f"{release}: it has no {kind} in the namespace {' or '.join(places)}. "
            f"Set {kind}.enabled{image}, and upgrade; --namespace names another one."
        )
    container = items(found, "spec", "template", "spec", "containers")[0]
    secrets = [
        text(each, "valueFrom", "secretKeyRef", "name")
        for each in items(container, "env")
        if each.get("name") == "JUPYTER_TOKEN"
    ]
    selector = at(found, "spec", "selector", "matchLabels")
    return Server(
        kind,
        text(found, "metadata", "namespace"),
        name(found),
        ",".join(f"{key}={word}" for key, word in selector.items()),
        int(value(items(container, "ports")[0], "containerPort")),
        secrets[0] if secrets else "",
    )


def ready_pod(cluster: Cluster, server: Server) -> Object | None:
    """The server's newest pod that is ready and stays; None when there is none."""
    pods = cluster.list(client.PODS, server.namespace, labels=server.labels)
    usable = [pod for pod in pods if ready(pod) and not value(pod, "metadata", "deletionTimestamp")]
    return max(usable, key=lambda pod: text(pod, "metadata", "creationTimestamp"), default=None)


def why_not_ready(cluster: Cluster, server: Server) -> str:
    """Why a server has no ready pod, in a sentence with what to do."""
    pods = list(cluster.list(client.PODS, server.namespace, labels=server.labels))
    events = sorted(cluster.list(client.EVENTS, server.namespace), key=happened)
    found = reasons.of_pods(Snapshot({}, pods=pods, events=events), pods)
    return str(found[0]) if found else "it has no pod yet. Try again in a moment."


class Forwarder:
    """Listens on 127.0.0.1 and leads each connection to the server's pod of that moment.

    ``say`` hears when there is no pod, and when there is one again.
    """

    def __init__(self, cluster: Cluster, server: Server, say: Callable[[str], None], port: int = 0) -> None:
        # The websocket library tells of each connection that ends, which a browser does all the time.
        logging.getLogger("websocket").setLevel(logging.CRITICAL)
        self._cluster = cluster
        self._server = server
        self._say = say
        self._lock = threading.Lock()
        self._pod = ""
        self._trouble = ""
        self._listener = socket.create_server(("127.0.0.1", port))

    @property
    def port(self) -> int:
        """The local port."""
        number: int = self._listener.getsockname()[1]
        return number

    def run(self) -> None:
        """Takes connections until ``close``."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Ends ``run``; connections end with the process."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                pod = ready_pod(self._cluster, self._server)
                if pod is None:
                    self._told(f"{self._server.name} has no ready pod now. Waiting for one.")
                    return
                stream = connect(self._cluster, self._server.namespace, name(pod), self._server.port)
            except ClusterError as error:
                self._told(str(error))
                return
            self._reached(name(pod))
            try:
                pump(connection, stream.socket(self._server.port))
            finally:
                stream.close()
            if lost := stream.error(self._server.port):
                self._told(f"{name(pod)}: {lost.strip()}")

    def _told(self, trouble: str) -> None:
        """The same trouble is told once, though a browser tries again and again."""
        with self._lock:
            if trouble != self._trouble:
                self._trouble = trouble
                self._say(trouble)

    def _reached(self, pod: str) -> None:
        with self._lock:
            if self._trouble or (self._pod and pod != self._pod):
                self._say(f"connected to {pod}")
            self._pod, self._trouble = pod, ""


def connect(cluster: Cluster, namespace: str, pod: str, port: int) -> Any:
    """A forwarded port of a pod, as the client has it. Raises ClusterError."""
    import kubernetes
    from kubernetes.client.exceptions import ApiException

    # The library's stream replaces the request method of its client, so it gets one of its own.
    api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(cluster.api.configuration))
    forward: Any = kubernetes.stream.portforward
    try:
        return forward(api.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
    except ApiException as error:
        said = " ".join(str(error.reason).split())
        if error.status == 403 or "403" in said:
            raise client.Forbidden(
                f"{cluster.server}: you may not create pods/portforward in namespace {namespace} (403). "
                "Ask for a role with the verbs get and create on pods/portforward."
            ) from None
        raise ClusterError(f"{cluster.server}: no way to {pod}: {said}.") from None


def pump(one: socket.socket, other: socket.socket) -> None:
    """Copies both ways until either side has ended."""
    ends = {one: other, other: one}
    while True:
        readable, _, _ = select.select(list(ends), [], [])
        for end in readable:
            try:
                data = end.recv(_CHUNK)
                if data:
                    ends[end].sendall(data)
                    continue
            except OSError:
                pass
            return
