"""Training containers as SageMaker starts them: the directory /opt/ml, and the program ``train``."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tiny

HYPERPARAMETERS = {
    **dict(setting.split("=", 1) for setting in (*tiny.SETTINGS, *tiny.C4)),
    "TRAIN.STEPS_PER_EPOCH": "3",
    "TRAIN.LR_EPOCH_SCHEDULE": "[(2, None)]",
    "data_train": "train2017",
    "data_val": "val2017",
}
"""A training run of six steps, seconds long."""

TRAIN = (sys.executable, "-m", "mrc_train.sagemaker.entry")


def draw_scenes(directory: Path) -> Path:
    """Drawn scenes of 64 x 64 pixels: 16 for training, 4 for validation."""
    from mrc_train import scenes

    scenes.main([str(directory), "--train", "16", "--val", "4", "--size", "64"])
    return directory


def lay_out(
    root: Path,
    data: Path | None,
    hyperparameters: Mapping[str, str],
    host: str = "algo-1",
    hosts: Sequence[str] = ("algo-1",),
) -> Path:
    """Write the files of /opt/ml for one host of a job, with the data set as channel ``train``."""
    configuration = root / "input" / "config"
    configuration.mkdir(parents=True)
    (root / "model").mkdir()
    (root / "output").mkdir()
    resources = {"current_host": host, "hosts": hosts, "network_interface_name": "eth0"}
    (configuration / "resourceconfig.json").write_text(json.dumps(resources))
    (configuration / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    channels = {"train": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}}
    (configuration / "inputdataconfig.json").write_text(json.dumps(channels if data else {}))
    if data:
        (root / "input" / "data").mkdir()
        (root / "input" / "data" / "train").symlink_to(data)
    return root


def train(root: Path, limit: Callable[[], None] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run ``train`` to its end; stdout and stderr are one text. ``limit`` is called in its process first."""
    return subprocess.run(
        [*TRAIN, "--root", root],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        preexec_fn=limit,
    )


def start(root: Path) -> "subprocess.Popen[str]":
    """Start ``train``."""
    return subprocess.Popen(
        [*TRAIN, "--root", root], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
