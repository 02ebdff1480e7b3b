"""Forwards a port of this machine's loopback address to a pod.

The official client's websocket forwards the data, so kubectl is not needed. Each connection goes to a pod
that is ready at that moment, so the command survives the replacement of a pod. The protocol does not report
when the pod closes a connection, which is sufficient for HTTP, whose responses contain their length.
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

COMPONENTS = {"jupyter": "notebook", "tensorboard": "dashboard", "serve": "inference"}
"""The servers that can be opened, with the component in their labels."""

_TO_HAVE = {
    "jupyter": "Set jupyter.enabled and jupyter.image, and upgrade",
    "tensorboard": "Set tensorboard.enabled, and upgrade",
    "serve": "Install the chart serve, and name its release",
}

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
    """Name of the Secret with the key ``token``; empty when the server needs no token."""

    @property
    def scheme(self) -> str:
        """Jupyter serves https with a certificate of its own."""
        return "https" if self.kind == "jupyter" else "http"


def server(cluster: Cluster, release: str, namespaces: Sequence[str], kind: str) -> Server:
    """The server of a release in the first of the namespaces that has it. Raises UserError without one."""
    labels = f"app.kubernetes.io/instance={release},app.kubernetes.io/component={COMPONENTS[kind]}"
    lists = (cluster.list(client.DEPLOYMENTS, namespace, labels=labels) for namespace in namespaces)
    result = next(chain.from_iterable(lists), None)
    if result is None:
        raise UserError(
            f"{release}: it has no {kind} in the namespace {' or '.join(namespaces)}. "
            f"{_TO_HAVE[kind]}; --namespace selects another one."
        )
    container = items(result, "spec", "template", "spec", "containers")[0]
    secrets = [
        text(item, "valueFrom", "secretKeyRef", "name")
        for item in items(container, "env")
        if item.get("name") in ("JUPYTER_TOKEN", "TENSORBOARD_TOKEN")
    ]
    selector = at(result, "spec", "selector", "matchLabels")
    return Server(
        kind,
        text(result, "metadata", "namespace"),
        name(result),
        ",".join(f"{key}={word}" for key, word in selector.items()),
        int(value(items(container, "ports")[0], "containerPort")),
        secrets[0] if secrets else "",
    )


def ready_pod(cluster: Cluster, server: Server) -> Object | None:
    """The server's newest pod that is ready and not being deleted, or None."""
    pods = cluster.list(client.PODS, server.namespace, labels=server.labels)
    usable = [pod for pod in pods if ready(pod) and not value(pod, "metadata", "deletionTimestamp")]
    return max(usable, key=lambda pod: text(pod, "metadata", "creationTimestamp"), default=None)


def why_not_ready(cluster: Cluster, server: Server) -> str:
    """Why a server has no ready pod, and what to do."""
    pods = list(cluster.list(client.PODS, server.namespace, labels=server.labels))
    events = sorted(cluster.list(client.EVENTS, server.namespace), key=happened)
    result = reasons.of_pods(Snapshot({}, pods=pods, events=events), pods)
    return str(result[0]) if result else "it has no pod yet. Try again in a moment."


class Forwarder:
    """Listens on 127.0.0.1 and forwards each connection to the server's current pod.

    ``say`` is called when no pod is ready, and when one is ready again.
    """

    def __init__(self, cluster: Cluster, server: Server, say: Callable[[str], None], port: int = 0) -> None:
        # The websocket library logs the end of every connection, and a browser opens many.
        logging.getLogger("websocket").setLevel(logging.CRITICAL)
        self._cluster = cluster
        self._server = server
        self._say = say
        self._lock = threading.Lock()
        self._pod = ""
        self._problem = ""
        self._listener = socket.create_server(("127.0.0.1", port))

    @property
    def port(self) -> int:
        """The local port."""
        number: int = self._listener.getsockname()[1]
        return number

    def run(self) -> None:
        """Accept connections until ``close`` is called."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """End ``run``. Open connections end with the process."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                pod = ready_pod(self._cluster, self._server)
                if pod is None:
                    self._report(f"{self._server.name} has no ready pod now. Waiting for one.")
                    return
                stream = connect(self._cluster, self._server.namespace, name(pod), self._server.port)
            except ClusterError as error:
                self._report(str(error))
                return
            self._connected(name(pod))
            try:
                pump(connection, stream.socket(self._server.port))
            finally:
                stream.close()
            if lost := stream.error(self._server.port):
                self._report(f"{name(pod)}: {lost.strip()}")

    def _report(self, problem: str) -> None:
        """Report a problem once, although a browser tries to connect repeatedly."""
        with self._lock:
            if problem != self._problem:
                self._problem = problem
                self._say(problem)

    def _connected(self, pod: str) -> None:
        with self._lock:
            if self._problem or (self._pod and pod != self._pod):
                self._say(f"connected to {pod}")
            self._pod, self._problem = pod, ""


def connect(cluster: Cluster, namespace: str, pod: str, port: int) -> Any:
    """The client's forwarded port of a pod. Raises ClusterError."""
    import kubernetes
    from kubernetes.client.exceptions import ApiException

    # The library's stream replaces the request method of its client, so it needs a separate one.
    api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(cluster.api.configuration))
    forward: Any = kubernetes.stream.portforward
    try:
        return forward(api.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
    except ApiException as error:
        message = " ".join(str(error.reason).split())
        if error.status == 403 or "403" in message:
            raise client.Forbidden(
                f"{cluster.server}: you are not allowed to create pods/portforward in namespace "
                f"{namespace} (403). "
                "Ask for a role with the verbs get and create on pods/portforward."
            ) from None
        raise ClusterError(f"{cluster.server}: cannot connect to {pod}: {message}.") from None


def pump(one: socket.socket, other: socket.socket) -> None:
    """Copy data in both directions until either side closes."""
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
