"""The maskrcnn chart rendered by real Helm, in this process."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from mrc_values.helm import render

CHART = Path(__file__).parents[2] / "charts" / "maskrcnn"

# Keys of the v2beta1 API (kubeflow/mpi-operator, pkg/apis/kubeflow/v2beta1/types.go) that a chart may set.
SPEC_KEYS = {
    "slotsPerWorker",
    "runLauncherAsWorker",
    "runPolicy",
    "mpiReplicaSpecs",
    "sshAuthMountPath",
    "launcherCreationPolicy",
    "mpiImplementation",
}
RUN_POLICY_KEYS = {
    "cleanPodPolicy",
    "ttlSecondsAfterFinished",
    "activeDeadlineSeconds",
    "backoffLimit",
    "schedulingPolicy",
    "suspend",
    "managedBy",
}
SCHEDULING_KEYS = {"minAvailable", "queue", "minResources", "priorityClass", "scheduleTimeoutSeconds"}


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
        """Environment of the launcher, by name: the text, or the valueFrom."""
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
        """The value that counts, or None when the key is not passed."""
        return dict(item.split("=", 1) for item in self.settings).get(key)


def run(
    *,
    global_: dict[str, Any] | None = None,
    release: str = "demo",
    namespace: str = "default",
    **maskrcnn: Any,
) -> Run:
    """``run(node_group="p4d", ...)``: the job of these values of ``maskrcnn``, with an image.

    ``global_`` are the values of ``global``; ``release`` and ``namespace`` are Helm's.
    Raises RenderError when schema or templates refuse them.
    """
    values = {"maskrcnn": {"image": "trainer:1", **maskrcnn}}
    if global_:
        values["global"] = global_
    texts = render(CHART, values, release, namespace)
    notes = texts.pop("maskrcnn/templates/NOTES.txt")
    (text,) = (text for text in texts.values() if text.strip())
    return Run(yaml.load(text, Loader=_UniqueKeys), notes)


def check_job(job: dict[str, Any], version: str = "1.34") -> None:
    """The MPIJob is strictly valid for the API server (of this Kubernetes) and the operator."""
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    spec = job["spec"]
    assert set(spec) <= SPEC_KEYS
    assert set(spec["runPolicy"]) <= RUN_POLICY_KEYS
    assert set(spec["runPolicy"].get("schedulingPolicy", {})) <= SCHEDULING_KEYS
    assert set(spec["mpiReplicaSpecs"]) == {"Launcher", "Worker"}
    for replica in spec["mpiReplicaSpecs"].values():
        assert set(replica) == {"replicas", "restartPolicy", "template"}
        template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": job["metadata"]}
        kubernetes_validate.validate(template | {"template": replica["template"]}, version, strict=True)
        for container in replica["template"]["spec"]["containers"]:
            # What the schema does not say and the API server or Helm 4's server-side apply refuses.
            for key, of in (("env", "name"), ("ports", "name"), ("volumeMounts", "mountPath")):
                names = [entry[of] for entry in container.get(key, [])]
                assert len(names) == len(set(names)), f"duplicates in {key}: {names}"


class _UniqueKeys(yaml.CSafeLoader):
    """YAML as the API server takes it: a key written twice is an error, not the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"line {node.start_mark.line + 1}: a key twice in {keys}"
        return super().construct_mapping(node, deep)


def expand(text: str, env: dict[str, str]) -> str:
    """``$(NAME)`` as Kubernetes expands it: ``$$`` is a dollar sign, an unknown name stays.

    https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/
    """

    def replaced(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else env.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^()]*)\)", replaced, text)
