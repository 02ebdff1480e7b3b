"""A training job on this machine: /opt/ml as SageMaker lays it out, and the image's program ``train``."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mrc_cli.errors import UserError
from mrc_cli.terminal import result
from mrc_train.sagemaker.entry import ROOT_VARIABLE
from mrc_train.sagemaker.layout import Layout

from mrc_sagemaker import local_hosts
from mrc_sagemaker.ack import Resource
from mrc_sagemaker.local_hosts import Host

_OPTIONS = {"train": "data"}
"""The command's option for a channel, where it has another name."""

TRAIN = (sys.executable, "-m", "mrc_train.sagemaker.entry")


def lay_out(directory: Path, job: Resource, channels: Mapping[str, Path]) -> dict[str, Layout]:
    """Write the files of a job, with directories of this machine as its channels; the layouts by host.

    The only host of a job has ``directory`` itself, several hosts have a directory in it each.

    Raises:
        UserError: when a channel's directory does not exist.
    """
    for name, data in channels.items():
        if not data.is_dir():
            raise UserError(
                f"{data}: no such directory; --{_OPTIONS.get(name, name)} names the channel {name}"
            )
    names = [f"algo-{number}" for number in range(1, job.request["ResourceConfig"]["InstanceCount"] + 1)]
    root = directory.resolve()
    layouts = {name: Layout(root / name if len(names) > 1 else root) for name in names}
    for name, layout in layouts.items():
        _write(layout, job, channels, name, names)
    return layouts


def _write(
    layout: Layout, job: Resource, channels: Mapping[str, Path], host: str, hosts: Sequence[str]
) -> None:
    for path in (layout.configuration, layout.data, layout.model, layout.failure.parent):
        path.mkdir(parents=True, exist_ok=True)
    if "CheckpointConfig" in job.request:
        layout.checkpoints.mkdir(exist_ok=True)
    interface = local_hosts.INTERFACE if len(hosts) > 1 else "lo"
    resources = {"current_host": host, "hosts": hosts, "network_interface_name": interface}
    files = {
        "hyperparameters": job.request.get("HyperParameters", {}),
        "resourceconfig": resources,
        "inputdataconfig": {name: {"TrainingInputMode": "File"} for name in channels},
    }
    for name, content in files.items():
        (layout.configuration / f"{name}.json").write_text(json.dumps(content))
    for name, data in channels.items():
        channel = layout.data / name
        channel.unlink(missing_ok=True)
        channel.symlink_to(data.resolve())


def model(directory: Path) -> Path:
    """The directory of the model that a job has left in a directory.

    Raises:
        UserError: when there is none.
    """
    candidates = [Layout(directory).model, Layout(directory / "algo-1").model]
    for candidate in candidates:
        if (candidate / "saved_model.pb").exists():
            return candidate
    raise UserError(
        f"{candidates[0]}: no model there. Train one: mrc-sagemaker local train, or unpack a job's "
        "model.tar.gz into it"
    )


def train(layouts: Mapping[str, Layout], job: Resource) -> int:
    """Run ``train`` on all hosts; the exit code of the first one that failed, else 0.

    Ctrl-C stops it as SageMaker would: it saves a checkpoint.

    Raises:
        UserError: when no hosts can be made here.
    """
    environment = job.request.get("Environment", {})
    if len(layouts) == 1:
        (layout,) = layouts.values()
        return _train_here({**os.environ, **environment, ROOT_VARIABLE: str(layout.root)})
    if why := local_hosts.unavailable():
        raise UserError(
            f"this job has {len(layouts)} hosts: {why}. Or train on one: --set maskrcnn.gpus=1 "
            "--set maskrcnn.gpus_per_node=1"
        )
    directories = {name: layout.root for name, layout in layouts.items()}
    output = lambda name: subprocess.PIPE  # noqa: E731
    with local_hosts.running(directories, list(layouts), TRAIN, environment, output) as hosts:
        printers = [threading.Thread(target=_print, args=item, daemon=True) for item in hosts.items()]
        for printer in printers:
            printer.start()
        codes = _await(list(hosts.values()))
        for printer in printers:
            printer.join(timeout=5)
    return next((code for code in codes if code), 0)


def _train_here(environment: Mapping[str, str]) -> int:
    # In a session of its own, so that Ctrl-C reaches only this process, which passes it on.
    with subprocess.Popen(TRAIN, env=environment, start_new_session=True) as process:  # noqa: S603
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            return process.wait()


def _await(hosts: Sequence[Host]) -> list[int]:
    """The exit codes of all hosts; Ctrl-C is passed on to all of them as SIGTERM."""
    stopped = False
    while any(host.process.poll() is None for host in hosts):
        try:
            time.sleep(0.2)
        except KeyboardInterrupt:
            if stopped:
                raise
            stopped = True
            for host in hosts:
                host.send(signal.SIGTERM)
    return [host.process.returncode for host in hosts]


def _print(name: str, host: Host) -> None:
    """Print a host's log with its name, as `mrc-sagemaker logs` does."""
    for line in host.process.stdout or ():
        result(f"{name} | {line.rstrip()}")
