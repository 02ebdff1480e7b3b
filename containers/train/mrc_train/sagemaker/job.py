"""What SageMaker tells a container about its job, and what ``train`` makes of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrc_cli.errors import UserError

from mrc_train.sagemaker.layout import Layout

DATA_CHANNELS = ("train", "training", "data")
"""Names of the channel with the data set: AWS's sample's, the SageMaker SDK's, and ours."""

WEIGHTS_CHANNEL = "weights"


@dataclass(frozen=True)
class Job:
    """The job as one of its hosts sees it.

    Attributes:
        host: this host's name, such as ``algo-1``.
        hosts: all hosts in alphabetical order; the first one runs mpirun and stores the results.
        interface: network interface that the hosts use between them.
        hyperparameters: as given, all of them strings.
        channels: names of the input channels.
    """

    layout: Layout
    host: str = "algo-1"
    hosts: Sequence[str] = ("algo-1",)
    interface: str = "eth0"
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Sequence[str] = ()

    @property
    def first(self) -> str:
        """The host that runs mpirun."""
        return self.hosts[0]


def read(layout: Layout) -> Job:
    """The job that the files in /opt/ml/input/config describe; a file that does not exist changes nothing.

    Raises:
        UserError: for a file with other content than SageMaker writes, and for the input mode Pipe.
    """
    resources = _read(layout.configuration / "resourceconfig.json")
    channels = _read(layout.configuration / "inputdataconfig.json")
    for name, channel in channels.items():
        if isinstance(channel, dict) and channel.get("TrainingInputMode") == "Pipe":
            raise UserError(f"channel {name}: input mode Pipe is not supported; use File or FastFile")
    host = str(resources.get("current_host", "algo-1"))
    return Job(
        layout,
        host,
        sorted(map(str, resources.get("hosts", [host]))),
        str(resources.get("network_interface_name", "eth0")),
        {name: str(value) for name, value in _read(layout.configuration / "hyperparameters.json").items()},
        sorted(channels) or _directories(layout.data),
    )


def data_directory(job: Job, given: str) -> Path:
    """Directory of the data set in COCO layout.

    Args:
        given: the trainer's DATA.BASEDIR: empty, absolute, or a directory within the channel. The channel may
            hold that directory, as the file system of a cluster does, or only its content.

    Raises:
        UserError: when the job has no channel with data, or the channel has no annotations/.
    """
    if Path(given).is_absolute():
        return Path(given)
    name = next((name for name in DATA_CHANNELS if name in job.channels), None)
    if name is None and len(job.channels) == 1:
        name = job.channels[0]
    if name is None:
        raise UserError(
            f"no input channel {DATA_CHANNELS[0]}; this job's channels: {', '.join(job.channels) or 'none'}"
        )
    channel = job.layout.data / name
    candidates = [channel / given, channel]
    for directory in candidates:
        if (directory / "annotations").is_dir():
            return directory
    tried = " and ".join(dict.fromkeys(f"{path}/annotations" for path in candidates))
    raise UserError(
        f"channel {name} has no data set in COCO layout: {tried} not found; let the channel's S3Uri or "
        "directory end at the directory that has annotations/ and the images, or set data_dir"
    )


def weights_file(job: Job, given: str, data_dir: str = "") -> str:
    """The file of BACKBONE.WEIGHTS in a channel; ``given`` unchanged if no channel has it.

    Args:
        data_dir: directory within the channel that the channel may hold itself, as in ``data_directory``.
    """
    if not given or Path(given).is_absolute():
        return given
    weights = job.layout.data / WEIGHTS_CHANNEL
    channels = [job.layout.data / name for name in job.channels]
    inner = given.removeprefix(f"{data_dir}/")
    candidates = [channel / path for channel in channels for path in (given, inner)]
    candidates.append(weights / Path(given).name)
    return next((str(path) for path in candidates if any(path.parent.glob(f"{path.name}*"))), given)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object, which SageMaker writes there")
    return content


def _directories(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
