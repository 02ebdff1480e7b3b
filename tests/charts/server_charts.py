"""The charts that serve a page, jupyter and tensorboard: rendered, alone and as sub-charts, and run."""

import base64
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from loopback import free_port
from maskrcnn_chart import expand
from mrc_values.helm import render
from rendering import CHARTS, Object, objects, only

ALONE, SUBCHART = "alone", "sub-chart"
WAYS = (ALONE, SUBCHART)
IMAGE = {
    "jupyter": {"image": "lab:1"},
    "serve": {"image": "serve:1", "model": "kubeflow/exported"},
    "tensorboard": {},
}
"""The values that each chart requires."""


@dataclass(frozen=True)
class Server:
    """What a chart renders for one server."""

    objects: list[Object]
    notes: str

    @property
    def deployment(self) -> Any:
        return only(self.objects, "Deployment")

    @property
    def service(self) -> Any:
        return only(self.objects, "Service")

    @property
    def secrets(self) -> dict[str, dict[str, bytes]]:
        """Contents of the Secrets, by name."""
        return {
            item["metadata"]["name"]: {key: base64.b64decode(data) for key, data in item["data"].items()}
            for item in self.objects
            if item["kind"] == "Secret"
        }

    @property
    def pod(self) -> Any:
        return self.deployment["spec"]["template"]["spec"]

    @property
    def container(self) -> Any:
        (container,) = self.pod["containers"]
        return container

    @property
    def env(self) -> dict[str, Any]:
        """Environment of the container, by name: the text, or the valueFrom."""
        return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in self.container["env"]}

    @property
    def mounts(self) -> dict[str, str]:
        """What is mounted where, as text: the claim or Secret, with (ro) where it can only be read."""
        sources = {}
        for volume in self.pod["volumes"]:
            claim, secret = volume.get("persistentVolumeClaim"), volume.get("secret")
            sources[volume["name"]] = (
                claim["claimName"] if claim else secret["secretName"] if secret else "empty"
            )
        return {
            mount["mountPath"]: sources[mount["name"]] + (" (ro)" if mount.get("readOnly") else "")
            for mount in self.container["volumeMounts"]
        }


def server(
    chart: str,
    way: str = ALONE,
    *,
    global_: dict[str, Any] | None = None,
    release: str = "demo",
    namespace: str = "default",
    **values: Any,
) -> Server:
    """The objects and notes of a chart with these values, besides an image if it has none by default.

    As a sub-chart, those of the release's objects that are its own, and the notes of its parent. Raises
    RenderError when schema or templates reject the values.
    """
    own = {**IMAGE[chart], **values}
    parent = "maskrcnn" if way == SUBCHART else chart
    if way == SUBCHART:
        own = {"maskrcnn": {"image": "trainer:1"}, chart: {**own, "enabled": True}}
    if global_ is not None:
        own["global"] = global_
    texts = render(CHARTS / parent, own, release, namespace)
    rendered = [
        item for item in objects(texts) if item["metadata"]["labels"]["app.kubernetes.io/name"] == chart
    ]
    return Server(rendered, texts[f"{parent}/templates/NOTES.txt"])


def command_of(
    server: Server, directories: Mapping[str, Path], token: str = ""
) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the container, as Kubernetes expands them, to run on this machine.

    ``directories`` take the place of where volumes are mounted; ``token`` that of what comes from a Secret.
    """

    def here(text: str) -> str:
        for mounted, directory in directories.items():
            if text == mounted or text.startswith(f"{mounted}/"):
                return f"{directory}{text.removeprefix(mounted)}"
        return text

    environment: dict[str, str] = {}
    for name, value in server.env.items():
        environment[name] = expand(here(value), environment) if isinstance(value, str) else token
    arguments = []
    for argument in [*server.container.get("command", []), *server.container["args"]]:
        flag, equals, value = argument.partition("=")
        flagged = bool(equals) and flag.startswith("--")
        argument = f"{flag}={here(value)}" if flagged else here(argument)
        arguments.append(expand(argument, environment))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return arguments, {"PATH": path, **environment}


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command while it runs, its output in ``log``; ended on leaving as Kubernetes ends a pod."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


@dataclass
class JupyterServer:
    """A running Jupyter: address, token, log file, the user's directory and the page of the probe."""

    port: int
    token: str
    log: Path
    trusted: ssl.SSLContext
    notebooks: Path
    probe: str

    def get(self, path: str, token: str = "") -> tuple[int, bytes]:
        """Status and body of an answer by https."""
        connection = HTTPSConnection("localhost", self.port, timeout=30, context=self.trusted)
        connection.request("GET", path, headers={"Authorization": f"token {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()


@contextmanager
def jupyter(
    efs: Path, directory: Path, notebooks: Path | None = None, config: Path | None = None
) -> Iterator[JupyterServer]:
    """The real Jupyter with exactly what the chart renders, once it answers.

    ``efs`` takes the place of the shared file system, ``directory`` that of what a pod has of its own;
    ``notebooks`` and ``config`` are directories of the image.
    """
    rendered = server("jupyter", target_port=free_port())
    served = prepared(rendered, directory)
    directories = {"/efs": efs, "/home/jupyter": directory / "home", "/etc/jupyter-tls": directory / "tls"}
    command, environment = command_of(rendered, directories, served.token)
    command = [argument.replace("--ServerApp.ip=*", "--ServerApp.ip=127.0.0.1") for argument in command]
    if os.getuid() == 0:  # not so in the pod
        command.append("--allow-root")
    if notebooks:
        environment["MRC_NOTEBOOKS"] = str(notebooks)
    if config:
        environment["JUPYTER_CONFIG_PATH"] = str(config)
    served.notebooks = Path(environment["NOTEBOOKS"])
    with running(command, environment, served.log) as process:
        wait_until_ready(served, process)
        yield served


def prepared(rendered: Server, directory: Path) -> JupyterServer:
    """The Jupyter that a chart renders before it runs: ``directory`` gets ``home`` and ``tls`` of its pod."""
    for name in ("home", "tls"):
        (directory / name).mkdir(parents=True)
    for name, content in rendered.secrets["demo-jupyter-tls"].items():
        (directory / "tls" / name).write_bytes(content)
    return JupyterServer(
        port=rendered.container["ports"][0]["containerPort"],
        token=rendered.secrets["demo-jupyter-token"]["token"].decode(),
        log=directory / "log",
        trusted=ssl.create_default_context(cafile=str(directory / "tls" / "tls.crt")),
        notebooks=Path("/efs/kubeflow/demo-jupyter"),
        probe=rendered.container["startupProbe"]["httpGet"]["path"],
    )


def wait_until_ready(served: JupyterServer, process: subprocess.Popen[bytes]) -> None:
    """Until the page that the chart's probe asks for is there."""
    deadline = time.monotonic() + 120
    while True:
        try:
            assert served.get(served.probe)[0] == 200
            return
        except (ConnectionError, HTTPException):
            assert process.poll() is None, served.log.read_text()
            assert time.monotonic() < deadline, served.log.read_text()
            time.sleep(0.1)


@contextmanager
def tensorboard(efs: Path, directory: Path, token: str = "", **values: Any) -> Iterator[str]:
    """The real TensorBoard with exactly what the chart renders; its address, once it answers.

    ``token`` is what its Secret holds.
    """
    port = free_port()
    rendered = server("tensorboard", target_port=port, **values)
    command, environment = command_of(rendered, {"/efs": efs, "/tmp": directory}, token)
    command = ["--host=127.0.0.1" if argument == "--bind_all" else argument for argument in command]
    address, log = f"http://127.0.0.1:{port}", directory / "log"
    path = rendered.container["readinessProbe"]["httpGet"]["path"]
    with running(command, environment, log) as process:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urlopen(address + path, timeout=10) as answer:
                    assert answer.status == 200
                    break
            except (URLError, ConnectionError):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        yield address


def restricted_violations(pod: dict[str, Any]) -> list[str]:
    """Violations of Pod Security "restricted" in a pod spec.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    context = pod.get("securityContext", {})
    violations = [f"{name} is true" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        violations += [f"volume of the kind {kind}" for kind in kinds - allowed - {"projected", "secret"}]
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        own = {**context, **container.get("securityContext", {})}
        capabilities = own.get("capabilities", {})
        checks = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities.drop": "ALL" in capabilities.get("drop", []),
            "capabilities.add": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "runAsNonRoot": own.get("runAsNonRoot") is True,
            "runAsUser": own.get("runAsUser") != 0,
            "seccompProfile": own.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "procMount": own.get("procMount", "Default") == "Default",
            "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
        }
        violations += [name for name, fine in checks.items() if not fine]
    return violations
