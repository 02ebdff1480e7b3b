"""Which checkpoint a run goes on from, and what else of the run folder belongs to it."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrc_train.errors import RunFolderError
from mrc_train.tfgraph import tf, v1

_OF_TRAINING = re.compile(r"^(global_step|learning_rate|beta[12]_power)$|/(Momentum|Adam|Adam_1)$|^EMA/")

_UNREADABLE = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
"""What TensorFlow and NumPy raise for a file that is not what its name says, or cut off."""


def newest_whole(logdir: Path) -> Path | None:
    """Prefix of the newest checkpoint whose every tensor can be read (checksums included), or None.

    A checkpoint that was cut off while it was written is passed over.
    """
    return next((prefix for prefix in reversed(all_prefixes(logdir)) if is_whole(prefix)), None)


def is_whole(prefix: Path) -> bool:
    """Whether every tensor of the checkpoint can be read."""
    try:
        for _ in _tensors(str(prefix)):
            pass
    except _UNREADABLE:
        return False
    return True


def _tensors(prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    reader = v1.train.NewCheckpointReader(prefix)
    for name in reader.get_variable_to_shape_map():
        yield name, reader.get_tensor(name)


def step_of(prefix: Path) -> int:
    """Training steps behind a checkpoint ``model-<step>``."""
    return int(prefix.name.rpartition("-")[2])


def all_prefixes(logdir: Path) -> list[Path]:
    """Prefixes of all checkpoints of a run, oldest first, whole or not."""
    return sorted((path.with_suffix("") for path in logdir.glob("model-*.index")), key=step_of)


def rewind(logdir: Path, step: int) -> None:
    """Cut stats.json back to ``step``: a run that goes on from there leaves no gap and no double in it."""
    stats = logdir / "stats.json"
    if stats.exists():
        entries = [entry for entry in json.loads(stats.read_text()) if entry["global_step"] <= step]
        replace(stats, json.dumps(entries))


def load_weights(path: str) -> dict[str, NDArray[Any]]:
    """Weights by variable name from an .npz or a checkpoint; what belongs to its training is left out.

    That is the step, the learning rate and the optimizer's moments. Raises RunFolderError for other files.
    """
    try:
        if path.endswith(".npz"):
            with np.load(path) as archive:
                found = {name.removesuffix(":0"): archive[name] for name in archive.files}
        else:
            found = dict(_tensors(path))
    except (*_UNREADABLE, OSError, zipfile.BadZipFile):
        raise RunFolderError(f"{path}: neither an .npz nor the prefix of a whole checkpoint") from None
    return {name: value for name, value in found.items() if not _OF_TRAINING.search(name)}


def replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
