"""Stagings in real pods: a server of S3's protocol in the cluster, and releases of the chart stage-data."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from testcluster.charts import CHARTS
from testcluster.client import Client, Object, until
from trainings import STEP_TIMEOUT, example

EXAMPLE = CHARTS / "stage-data" / "examples" / "drawn-scenes.yaml"
PROGRAM = Path(sys.executable).with_name("mrc-stage")


@dataclass(frozen=True)
class Server:
    """The server of the tutorial, in the user's namespace."""

    user: Client

    def install(self) -> None:
        """Starts it and waits until it answers."""
        self.user.apply(*example("bucket", self.user.namespace))
        self.user.wait("deployment/s3", "condition=Available", 120)

    def prepare(self, uri: str, data: Path) -> None:
        """Puts a directory of this machine into the bucket."""
        (secret,) = (item for item in example("bucket", "") if item["kind"] == "Secret")
        with self._forwarded() as address:
            environment = os.environ | secret["stringData"] | {"AWS_ENDPOINT_URL": address}
            argv = [str(PROGRAM), "prepare", uri, "--from", str(data)]
            done = subprocess.run(argv, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def pid(self) -> int:
        """Returns the server's PID on the host."""
        (pod,) = self.user.objects("pods", app="s3")
        processes = _processes(pod["metadata"]["uid"])
        (pid,) = (pid for pid in processes if _command(pid).startswith("/versitygw\0"))
        return pid

    @contextmanager
    def _forwarded(self) -> Iterator[str]:
        argv = [str(self.user.cluster.bin / "kubectl"), f"--namespace={self.user.namespace}"]
        argv += ["port-forward", "service/s3", ":80", "--address=127.0.0.1"]
        with subprocess.Popen(
            argv, env=self.user.cluster.environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            try:
                port = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
                assert port, "kubectl port-forward says no port"
                yield f"http://127.0.0.1:{port[1]}"
            finally:
                process.terminate()


@dataclass(frozen=True)
class Staging:
    """A release of the chart stage-data."""

    user: Client
    name: str

    @property
    def directory(self) -> Path:
        """The data set's directory on the host."""
        return self.user.cluster.volumes / "efs" / self.user.namespace / self.name

    def install(self, uri: str, **values: Any) -> None:
        """Installs it with the values of the tutorial and these."""
        given: dict[str, Any] = {
            **yaml.safe_load(EXAMPLE.read_text()),
            "global": {"namespace": ""},
            "s3_uri": uri,
            "data_dir": f"{self.user.namespace}/{self.name}",
            **values,
        }
        flags = [f"--set-json={name}={json.dumps(value)}" for name, value in given.items()]
        self.user.helm("install", self.name, str(CHARTS / "stage-data"), *flags)

    def delete(self) -> None:
        """Deletes the release, and the data."""
        self.user.helm("delete", self.name, "--wait")
        shutil.rmtree(self.directory, ignore_errors=True)

    def pods(self) -> list[Object]:
        """Returns the pods, including those that failed."""
        return self.user.objects("pods", **{"batch.kubernetes.io/job-name": self.name})

    def await_condition(self, condition: str) -> None:
        """Waits until the Job is ``Complete`` or ``Failed``."""
        self.user.wait(f"job/{self.name}", f"condition={condition}", 280)

    def await_file(self) -> None:
        """Waits until the first file is written, somewhere in the workspace."""
        workspace = self.directory / ".mrc-stage" / "tree"
        until(
            lambda: any(file.is_file() for file in workspace.rglob("*")), "a file", STEP_TIMEOUT, every=0.01
        )

    def suspend_pod(self) -> str:
        """Suspends the program of a pod that has not ended, so that it cannot; returns the pod's name."""
        for pod in self.pods():
            for pid in _processes(pod["metadata"]["uid"]):
                if "mrc-stage" in _command(pid):
                    os.kill(pid, signal.SIGSTOP)
                    return str(pod["metadata"]["name"])
        raise AssertionError("no pod is staging")


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Suspends a server: it keeps its connections but does not answer."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def tree(root: Path) -> dict[str, bytes]:
    """Returns the content of all files but the marker of staging."""
    files = (file for file in root.rglob("*") if file.is_file() and not file.name.startswith(".mrc-"))
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def _processes(pod: str) -> Iterator[int]:
    """The host's PIDs of a pod's processes, by its UID."""
    for groups in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if f"pod{pod}" in groups.read_text():
                yield int(groups.parent.name)
        except OSError:
            continue


def _command(pid: int) -> str:
    """The words of a process's command line, each with a NUL byte after it."""
    return Path(f"/proc/{pid}/cmdline").read_text()
