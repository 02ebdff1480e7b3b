"""The maskrcnn chart rendered by real Helm, in this process."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrc_values.helm import render
from rendering import CHARTS, NEWEST, check_object, objects, only

CHART = CHARTS / "maskrcnn"


@dataclass(frozen=True)
class Run:
    """A rendered training job."""

    job: dict[str, Any]
    notes: str

    @property
    def spec(self) -> Any:
        return self.job["spec"]

    @property
    def name(self) -> Any:
        return self.job["metadata"]["name"]

    def pod(self, replica: str) -> Any:
        """Pod spec of ``Launcher`` or ``Worker``."""
        return self.spec["mpiReplicaSpecs"][replica]["template"]["spec"]

    @property
    def launcher(self) -> Any:
        return self.pod("Launcher")["containers"][0]

    @property
    def worker(self) -> Any:
        return self.pod("Worker")["containers"][0]

    @property
    def env(self) -> dict[str, Any]:
        """Environment of the launcher, by name: the string, or the valueFrom."""
        return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in self.launcher["env"]}

    @property
    def exported(self) -> list[str]:
        """Names that mpirun exports to the ranks."""
        args = self.launcher["args"]
        return [args[i + 1] for i, arg in enumerate(args) if arg == "-x"]

    @property
    def settings(self) -> list[str]:
        """KEY=VALUE of the trainer, in order."""
        args: list[str] = self.launcher["args"]
        return args[args.index("--config") + 1 :]

    def setting(self, key: str) -> str | None:
        """The value that takes effect, or None when the key is not passed."""
        return dict(item.split("=", 1) for item in self.settings).get(key)


def run(
    *,
    chart: Path = CHART,
    global_: dict[str, Any] | None = None,
    release: str = "demo",
    namespace: str = "default",
    **maskrcnn: Any,
) -> Run:
    """``run(node_group="p4d", ...)``: the job of these values of ``maskrcnn``, with an image.

    ``chart`` is the directory, the project's own or a changed copy; ``global_`` are the values of ``global``;
    ``release`` and ``namespace`` are Helm's.
    Raises RenderError when schema or templates reject them.
    """
    values = {"maskrcnn": {"image": "trainer:1", **maskrcnn}}
    if global_:
        values["global"] = global_
    texts = render(chart, values, release, namespace)
    return Run(only(objects(texts), "MPIJob"), texts["maskrcnn/templates/NOTES.txt"])


def check_job(job: dict[str, Any], version: str = NEWEST) -> None:
    """The MPIJob is strictly valid for the API server (of this Kubernetes) and the operator."""
    assert job["kind"] == "MPIJob"
    assert set(job["spec"]["mpiReplicaSpecs"]) == {"Launcher", "Worker"}
    check_object(job, version)


def expand(text: str, env: dict[str, str]) -> str:
    """``$(NAME)`` as Kubernetes expands it: ``$$`` is a dollar sign, an unknown name stays.

    https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/
    """

    def replaced(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else env.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^()]*)\)", replaced, text)
