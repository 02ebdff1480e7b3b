"""Users of a cluster, who call helm and kubectl."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from testcluster.cluster import Cluster

Object = dict[str, Any]
JOB = "training.kubeflow.org/job-name"
ROLE = "training.kubeflow.org/job-role"


class CommandFailed(Exception):
    """A command failed; the message is its stderr."""


@dataclass(frozen=True)
class Client:
    """A user with one namespace and one of the two Helm programs."""

    cluster: Cluster
    namespace: str
    program: str = "helm"

    def with_program(self, program: str) -> "Client":
        """Returns the same user with another Helm program."""
        return replace(self, program=program)

    def helm(self, *arguments: str) -> str:
        """Runs helm and returns its stdout. Raises CommandFailed."""
        return self._run(self.program, *arguments, f"--namespace={self.namespace}")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl and returns its stdout. Raises CommandFailed."""
        return self._run("kubectl", f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def get(self, kind: str, name: str) -> Object:
        """Returns an object. Raises CommandFailed when it does not exist."""
        content: Object = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return content

    def objects(self, kind: str, **labels: str) -> list[Object]:
        """Returns objects with these labels, of one kind or of several, such as ``pods,services``."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        answer = self.kubectl("get", kind, f"--selector={selector}", "--output=json")
        content: list[Object] = json.loads(answer)["items"]
        return content

    def names(self, kind: str) -> set[str]:
        """Returns the names of all objects of a kind, such as ``pod/x``."""
        return set(self.kubectl("get", kind, "--output=name").split())

    def pods(self, job: str, role: str) -> list[Object]:
        """Returns the ``worker`` or ``launcher`` pods of a job."""
        return self.objects("pods", **{JOB: job, ROLE: role})

    def apply(self, *objects: Object) -> str:
        """Creates or updates objects. Raises CommandFailed."""
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        return self.kubectl("apply", "--filename=-", stdin=body)

    def wait(self, what: str, condition: str, seconds: int = 60) -> None:
        """Waits for ``condition=Running``, ``delete`` or the like of an object. Raises CommandFailed."""
        self.kubectl("wait", what, f"--for={condition}", f"--timeout={seconds}s")

    def running(self, job: str) -> None:
        """Waits until an MPIJob is running and all its pods are ready."""
        self.wait(f"mpijob/{job}", "condition=Running")
        self.kubectl("wait", "pods", f"--selector={JOB}={job}", "--for=condition=Ready", "--timeout=60s")

    def delete_all(self) -> None:
        """Deletes all pods and their owners without a grace period.

        The namespace is kept, because deleting it takes much longer.
        """
        kinds = "mpijobs,jobs,deployments,pods"
        self.kubectl("delete", kinds, "--all", "--force", "--grace-period=0", "--wait=false")

    def _run(self, program: str, *arguments: str, stdin: str | None = None) -> str:
        argv = [str(self.cluster.bin / program), *arguments]
        done = subprocess.run(
            argv, env=self.cluster.environment, input=stdin, capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise CommandFailed(f"{program} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout


def until(condition: Callable[[], bool], what: str, seconds: float = 60, every: float = 0.2) -> None:
    """Polls a condition that kubectl cannot wait for. A command that fails counts as false.

    Raises AssertionError after ``seconds``.
    """
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(CommandFailed):
            if condition():
                return
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(every)
