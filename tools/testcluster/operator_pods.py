"""Runs the real MPI Operator for its pods on simulated nodes, as a kubelet would.

Each pod of the mpijob chart's Deployment gets a process with the pod's arguments, a network namespace and a
token of the pod's service account. The chart's arguments, RBAC rules and probes are therefore all in effect.
"""

import subprocess
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from testcluster.control_plane import ControlPlane
from testcluster.pki import write_kubeconfig
from testcluster.processes import popen

SELECTOR = "app.kubernetes.io/name=mpijob,app.kubernetes.io/component=operator"
TOKEN_SECONDS = 24 * 3600

Pod = dict[str, Any]


@dataclass
class Running:
    """A pod's process, and the readiness and restart count last reported to the API server."""

    pod: Pod
    address: str
    process: subprocess.Popen[bytes]
    network: str
    reported: tuple[bool, int] | None = None
    restarts: int = 0
    started: str = field(default_factory=lambda: _now())


class OperatorPods:
    """Keeps one process for every pod of the operator."""

    def __init__(self, plane: ControlPlane, program: Path, logs: Path) -> None:
        self._plane = plane
        self._program = program
        self._logs = logs
        self._running: dict[str, Running] = {}
        self._networks = 0

    def sync(self) -> None:
        """Starts, restarts and stops processes once to match the pods, and updates the pods' status."""
        pods = self._plane.api.get(f"/api/v1/pods?labelSelector={SELECTOR}")["items"]
        wanted = {pod["metadata"]["uid"]: pod for pod in pods if pod["spec"].get("nodeName")}
        for uid in list(self._running):
            if uid not in wanted or "deletionTimestamp" in wanted[uid]["metadata"]:
                self._stop(self._running.pop(uid))
        for uid, pod in wanted.items():
            if "deletionTimestamp" in pod["metadata"]:
                self._plane.api.delete_now(_path(pod))
            elif uid not in self._running:
                self._running[uid] = self._start(pod)
            else:
                self._watch(self._running[uid])

    def _start(self, pod: Pod) -> Running:
        self._networks += 1
        network, gateway, address = _network(self._networks)
        running = Running(pod, address, self._execute(pod, network), network)
        print(f"{_name(pod)}: started at {address}, gateway {gateway}", flush=True)
        return running

    def _execute(self, pod: Pod, network: str) -> subprocess.Popen[bytes]:
        """Starts the process of the pod's container."""
        kubeconfig = self._plane.state / f"{pod['metadata']['uid']}.kubeconfig"
        namespace = pod["metadata"]["namespace"]
        config = self._plane.authority.token_kubeconfig(self._plane.server, self._token(pod), namespace)
        write_kubeconfig(kubeconfig, config)
        argv = ["ip", "netns", "exec", network, self._program, *_container(pod).get("args", [])]
        return popen(argv, self._logs / "mpi-operator.log", KUBECONFIG=str(kubeconfig))

    def _token(self, pod: Pod) -> str:
        """Returns a token of the pod's service account; "" when the pod mounts none."""
        sources = [
            source
            for volume in pod["spec"].get("volumes", [])
            for source in volume.get("projected", {}).get("sources", [])
        ]
        if not any("serviceAccountToken" in source for source in sources):
            return ""
        meta = pod["metadata"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        account = (
            f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{pod['spec']['serviceAccountName']}"
        )
        request = {"spec": {"expirationSeconds": TOKEN_SECONDS, "boundObjectRef": bound}}
        answer = self._plane.api.create(f"{account}/token", request)
        return str(answer["status"]["token"])

    def _watch(self, running: Running) -> None:
        """Restarts a process that has ended; reports changes of readiness and restart count."""
        code = running.process.poll()
        if code is not None:
            print(f"{_name(running.pod)}: ended with exit code {code}, restarting", flush=True)
            running.restarts += 1
            running.process = self._execute(running.pod, running.network)
        state = (_probe(running), running.restarts)
        if state != running.reported:
            self._plane.api.patch_status(_path(running.pod), _status(running, *state))
            running.reported = state

    def _stop(self, running: Running) -> None:
        running.process.terminate()
        try:
            running.process.wait(10)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
        subprocess.run(["ip", "netns", "del", running.network], check=True)
        print(f"{_name(running.pod)}: stopped", flush=True)


def _network(number: int) -> tuple[str, str, str]:
    """Creates a network namespace that reaches the API server; returns its name, gateway and address."""
    name = f"pod{number}"
    gateway, address = (f"10.244.{number // 64}.{number % 64 * 4 + host}" for host in (1, 2))
    inside = ["ip", "-n", name]
    for argv in (
        ["ip", "netns", "add", name],
        ["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name],
        ["ip", "addr", "add", f"{gateway}/30", "dev", name],
        ["ip", "link", "set", name, "up"],
        [*inside, "addr", "add", f"{address}/30", "dev", "eth0"],
        [*inside, "link", "set", "eth0", "up"],
        [*inside, "link", "set", "lo", "up"],
        [*inside, "route", "add", "default", "via", gateway],
    ):
        subprocess.run(argv, check=True)
    return name, gateway, address


def _probe(running: Running) -> bool:
    """Runs the container's readiness probe once."""
    container = _container(running.pod)
    if "readinessProbe" not in container:
        return True
    probe = container["readinessProbe"]["httpGet"]
    ports = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
    port = ports.get(probe["port"], probe["port"])
    try:
        urllib.request.urlopen(f"http://{running.address}:{port}{probe['path']}", timeout=1).close()
    except OSError:
        return False
    return True


def _status(running: Running, ready: bool, restarts: int) -> dict[str, Any]:
    container = _container(running.pod)
    word = str(ready)
    return {
        "phase": "Running",
        "podIP": running.address,
        "podIPs": [{"ip": running.address}],
        "startTime": running.started,
        "conditions": [
            {"type": kind, "status": value, "lastTransitionTime": _now()}
            for kind, value in (("Initialized", "True"), ("ContainersReady", word), ("Ready", word))
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": ready,
                "started": True,
                "restartCount": restarts,
                "state": {"running": {"startedAt": running.started}},
            }
        ],
    }


def _container(pod: Pod) -> dict[str, Any]:
    container: dict[str, Any] = pod["spec"]["containers"][0]
    return container


def _path(pod: Pod) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _name(pod: Pod) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
