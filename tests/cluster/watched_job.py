"""A training job of the tests: what its pods print, and the program that watches it."""

import subprocess
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from mrc_train.run_lines import Checkpoint, Evaluation, Progress
from testcluster.client import Client, Object, until
from values_tool import PROGRAM

_RUN_LINES = (
    Progress(100, 3500, 1, 18, 0.8123, 120.3, 80),
    Checkpoint(100, "model-100"),
    Evaluation(100, "val2017", 5000, {"bbox/AP50": 0.4512, "segm/AP50": 0.4071}),
    Progress(150, 3500, 1, 18, 0.7123, 121.5, 70),
)

TRAINING = "\n".join(
    (
        "launch: 2 workers answer after 3 s",
        "[1,0]<stdout>:demo-worker-0:26:26 [0] NCCL INFO NET/OFI Selected Provider is efa (found 4 nics)",
        "[1,8]<stdout>:demo-worker-1:26:26 [0] NCCL INFO Using network AWS Libfabric",
        "[1,0]<stdout>:w:2:7 [0] NCCL INFO Channel 00/0 : 8[0] -> 0[0] [send] via NET/AWS Libfabric/0/GDRDMA",
        *(f"[1,0]<stdout>:{line.line()}" for line in _RUN_LINES),
    )
)
"""The log of a launcher: NCCL's lines as on real clusters, and the trainer's as its own writers make them."""


class PodLog:
    """What a simulated pod prints, as lines of a container runtime's log file that kwok reads."""

    def __init__(self, user: Client, pod: str, container: str, file: Path) -> None:
        self._file = file
        file.touch()
        spec = {"logs": [{"containers": [container], "logsFile": str(file), "follow": True}]}
        meta = {"name": pod, "namespace": user.namespace}
        user.apply({"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": meta, "spec": spec})
        # kwok takes a moment to know it.
        until(lambda: user.kubectl("logs", pod, "--tail=1") is not None, f"a log of {pod}")

    def write(self, text: str) -> None:
        """Prints lines now."""
        with self._file.open("a") as log:
            for line in text.splitlines():
                log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z stdout F {line}\n")


def running_launchers(user: Client, job: str = "demo") -> list[Object]:
    return [pod for pod in user.pods(job, "launcher") if pod["status"]["phase"] == "Running"]


def launcher_log(user: Client, directory: Path, job: str = "demo") -> PodLog:
    (launcher,) = running_launchers(user, job)
    name = launcher["metadata"]["name"]
    return PodLog(user, name, "launcher", directory / f"{name}.log")


def dashboard(user: Client) -> str:
    user.kubectl("rollout", "status", "deployment/demo-tensorboard", "--timeout=60s")
    (pod,) = (
        pod
        for pod in user.objects("pods", **{"app.kubernetes.io/component": "dashboard"})
        if "deletionTimestamp" not in pod["metadata"]
    )
    return str(pod["metadata"]["name"])


def fetched(url: str, seconds: float = 10) -> str:
    """A page, or why there is none."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            text: str = answer.read().decode()
            return text
    except OSError as error:
        return str(error)


def started(user: Client, *arguments: str) -> "subprocess.Popen[str]":
    """The program, which continues to run."""
    return subprocess.Popen(
        [str(PROGRAM), *arguments, f"--namespace={user.namespace}"],
        env=user.cluster.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
