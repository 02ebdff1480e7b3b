"""A training job on this machine: /opt/ml as SageMaker lays it out, and the image's program ``train``."""

import json
import os
import subprocess
import sys
from pathlib import Path

from mrc_cli.errors import UserError
from mrc_train.sagemaker.entry import ROOT_VARIABLE
from mrc_train.sagemaker.layout import Layout

from mrc_sagemaker.ack import Resource


def lay_out(directory: Path, job: Resource, data: Path) -> Layout:
    """Write the files of a job on one host into a directory, with ``data`` as the channel train.

    Raises:
        UserError: for a job on several hosts, and when the data does not exist.
    """
    count = job.request["ResourceConfig"]["InstanceCount"]
    if count > 1:
        raise UserError(
            f"this job has {count} hosts, but here is one. Add --set maskrcnn.device=cpu "
            "--set maskrcnn.gpus=1 --set maskrcnn.gpus_per_node=1"
        )
    if not data.is_dir():
        raise UserError(f"{data}: no such directory; --data names the data set in COCO layout")
    layout = Layout(directory.resolve())
    for path in (layout.configuration, layout.data, layout.model, layout.failure.parent):
        path.mkdir(parents=True, exist_ok=True)
    if "CheckpointConfig" in job.request:
        layout.checkpoints.mkdir(exist_ok=True)
    files = {
        "hyperparameters": job.request.get("HyperParameters", {}),
        "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"},
        "inputdataconfig": {"train": {"TrainingInputMode": "File"}},
    }
    for name, content in files.items():
        (layout.configuration / f"{name}.json").write_text(json.dumps(content))
    channel = layout.data / "train"
    channel.unlink(missing_ok=True)
    channel.symlink_to(data.resolve())
    return layout


def train(layout: Layout, job: Resource) -> int:
    """Run ``train``; its exit code. Ctrl-C stops it as SageMaker would: it saves a checkpoint."""
    environment = {**os.environ, **job.request.get("Environment", {}), ROOT_VARIABLE: str(layout.root)}
    command = [sys.executable, "-m", "mrc_train.sagemaker.entry"]
    # In a session of its own, so that Ctrl-C reaches only this process, which passes it on.
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:  # noqa: S603
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            return process.wait()
