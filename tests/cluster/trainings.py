"""Small training runs in real pods: releases of the maskrcnn chart on drawn scenes, with two workers."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from testcluster.charts import CHARTS
from testcluster.client import Client, Object, until
from testcluster.images import TRAIN, VIZ

EXAMPLES = CHARTS / "maskrcnn" / "examples"
SCENES = "few-scenes"
"""Directory of the data set on the shared file system."""

STEP_TIMEOUT = 900
"""Seconds. On an idle machine, a rank imports TensorFlow and builds its graph in 20."""

FEW_STEPS: dict[str, Any] = {
    "image": TRAIN,
    "image_pull_policy": "IfNotPresent",
    "gpus_per_node": 1,
    "data_dir": SCENES,
    "steps_per_epoch": 6,
    "lr_schedule": "[12]",
    "eval_period_in_epochs": 1000,
    # Slower where the CPU has no AMX.
    "fp16": False,
    "cpu": "100m",
    "launcher": {"resources": {"requests": {"cpu": "50m"}}},
}
"""Differences from the example: two epochs, each with a checkpoint, and requests for a small machine."""

ENDLESS: dict[str, Any] = {"lr_schedule": "[60000]"}
OPTIMIZED: dict[str, Any] = {"lr_epoch_schedule": None, "images_per_epoch": None, "xla": False}
"""Resets values for which the maskrcnn-optimized chart has other defaults."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Training:
    """A release of the maskrcnn chart, or of one with the same values, and its run of the same name."""

    user: Client
    name: str = "demo"
    chart: str = "maskrcnn"

    @property
    def directory(self) -> Path:
        """The run's directory on the host."""
        return self.user.cluster.volumes / "efs" / self.user.namespace / self.name

    def install(self, settings: Values | None = None, **charts: Values) -> str:
        """Installs the release with values of maskrcnn and of sub-charts; returns Helm's output."""
        return self._helm("install", settings, charts)

    def upgrade(self, settings: Values | None = None, **charts: Values) -> str:
        """Upgrades the release; parameters as for ``install``. Raises CommandFailed."""
        return self._helm("upgrade", settings, charts)

    def delete(self) -> None:
        """Deletes the release and waits until its pods are gone."""
        self.user.helm("delete", self.name, "--wait")
        release = f"--selector=app.kubernetes.io/instance={self.name}"
        self.user.kubectl("wait", "pods", release, "--for=delete", "--timeout=120s")

    def pods(self) -> set[str]:
        """Returns the UIDs of the run's pods."""
        roles = ("worker", "launcher")
        return {str(pod["metadata"]["uid"]) for role in roles for pod in self.user.pods(self.name, role)}

    def launchers(self) -> list[Object]:
        """Returns the launcher pods, including failed ones, oldest first."""
        return sorted(
            self.user.pods(self.name, "launcher"), key=lambda pod: str(pod["metadata"]["creationTimestamp"])
        )

    def log(self) -> str:
        """Returns the log of the newest launcher."""
        launchers = self.launchers()
        return self.user.kubectl("logs", launchers[-1]["metadata"]["name"]) if launchers else ""

    def step(self) -> int:
        """Returns the newest step in progress.json, 0 before the first."""
        try:
            return int(json.loads((self.directory / "progress.json").read_text())["step"])
        except FileNotFoundError:
            return 0

    def checkpoints(self) -> list[int]:
        """Returns the steps of the complete checkpoints."""
        return sorted(int(file.stem.removeprefix("model-")) for file in self.directory.glob("model-*.index"))

    def recorded_steps(self) -> list[int]:
        """Returns the step of each entry of stats.json."""
        return [
            int(entry["global_step"]) for entry in json.loads((self.directory / "stats.json").read_text())
        ]

    def conditions(self) -> set[str]:
        """Returns the conditions of the MPIJob that are true."""
        status = self.user.get("mpijob", self.name).get("status", {})
        return {
            condition["type"] for condition in status.get("conditions", []) if condition["status"] == "True"
        }

    def await_checkpoint(self, beyond: int = 0) -> int:
        """Waits for a checkpoint of a later step; returns the newest checkpoint's step."""
        self._until(lambda: bool(self.checkpoints()) and self.checkpoints()[-1] > beyond, "a checkpoint")
        return self.checkpoints()[-1]

    def await_step(self, step: int) -> None:
        """Waits until progress.json has this step or a later one."""
        self._until(lambda: self.step() >= step, f"step {step}")

    def await_resumption(self, launcher: Object) -> int:
        """Waits until a launcher that replaces this one has resumed the run; returns the checkpoint."""
        uid, created = launcher["metadata"]["uid"], launcher["metadata"]["creationTimestamp"]

        def resumed() -> bool:
            # Until a deleted launcher is replaced, the newest one is one that failed before it.
            newest = [pod["metadata"] for pod in self.launchers()[-1:]]
            replaced = any(pod["uid"] != uid and pod["creationTimestamp"] >= created for pod in newest)
            return replaced and self.resumed_from() is not None

        self._until(resumed, "another launcher that resumes from a checkpoint")
        return self.resumed_from() or 0

    def resumed_from(self) -> int | None:
        """Returns the step from which the newest launcher resumed; None before that, or for a new run."""
        match = re.search(r"resuming from \S*/model-(\d+)$", self.log(), re.MULTILINE)
        return int(match[1]) if match else None

    def await_success(self) -> None:
        """Waits until the job has succeeded."""
        self._until(lambda: "Succeeded" in self.conditions(), "the end of the training")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for a condition; fails at once when the job has failed."""

        def done() -> bool:
            assert "Failed" not in self.conditions(), f"waiting for {what}, the job failed:\n{self.log()}"
            return condition()

        until(done, what, STEP_TIMEOUT, every=2)

    def _helm(self, command: str, settings: Values | None, charts: dict[str, Values]) -> str:
        training = yaml.safe_load((EXAMPLES / "drawn-scenes.yaml").read_text())["maskrcnn"]
        training |= FEW_STEPS | (settings or {})
        # Of two values for a key the last one counts.
        training["extra_config"] = [*training["extra_config"], "TRAIN.CHECKPOINT_PERIOD=1"]
        values: Values = {"global": {"namespace": ""}, "tensorboard": {"enabled": False}}
        values |= {"maskrcnn": training} | charts
        flags = [f"--set-json={name}={json.dumps(chart_values)}" for name, chart_values in values.items()]
        return self.user.helm(command, self.name, str(CHARTS / self.chart), *flags)


def server(**values: Any) -> Values:
    """Returns the values of an enabled sub-chart."""
    image = {"image": VIZ, "image_pull_policy": "IfNotPresent"}
    return {"enabled": True, "resources": {"requests": {"cpu": "50m"}}} | image | values


def example(name: str, namespace: str) -> list[Object]:
    """Returns the objects of one of the chart's examples of data, for another namespace."""
    objects = list(yaml.safe_load_all((EXAMPLES / "data" / f"{name}.yaml").read_text()))
    for item in objects:
        item["metadata"]["namespace"] = namespace
    return objects


def draw_scenes(user: Client) -> None:
    """Draws a small data set onto the claim. Raises CommandFailed."""
    (manifest,) = example("scenes", user.namespace)
    pod = manifest["spec"]["template"]["spec"]
    pod["containers"] = pod.pop("initContainers")
    pod["containers"][0]["command"] = ["mrc-scenes", f"/data/{SCENES}", "--train=64", "--val=8"]
    claim = "tensorpack-efs-gp-bursting"
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    user.apply(manifest)
    user.wait("job/draw-scenes", "condition=Complete", 280)


def events(user: Client, name: str) -> str:
    """Returns the reasons and messages of an object's events."""
    events = user.kubectl("get", "events", f"--field-selector=involvedObject.name={name}", "--output=json")
    return "\n".join(f"{event['reason']}: {event['message']}" for event in json.loads(events)["items"])


def waiting_reason(pod: Object) -> str:
    """Returns why a pod's first container is waiting, "" when it is not."""
    statuses = pod["status"].get("containerStatuses") or [{}]
    return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))
