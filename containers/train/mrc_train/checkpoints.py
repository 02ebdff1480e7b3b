"""Which checkpoint a run goes on from, and what else of the run folder belongs to it."""

import json
import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrc_train.errors import RunDirectoryError
from mrc_train.precision import LOSS_SCALE
from mrc_train.tfgraph import tf, v1

log = logging.getLogger("mrc_train")

_OF_TRAINING = re.compile(
    rf"^(global_step|learning_rate|beta[12]_power|{LOSS_SCALE}|good_steps)$"
    r"|/(Momentum|Adam|Adam_1)$|^EMA/"
)

_UNREADABLE = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
"""What TensorFlow and NumPy raise for a file that is not what its name says, or cut off."""


def newest_whole(logdir: Path) -> Path | None:
    """Prefix of the newest checkpoint that a run can go on from, or None.

    One that was cut off while it was written, or whose weights are not numbers, is passed over and named.
    """
    for prefix in reversed(all_prefixes(logdir)):
        fault = _fault(prefix)
        if fault is None:
            return prefix
        log.warning(f"{prefix}: {fault}; the checkpoint before it is taken")
    return None


def _fault(prefix: Path) -> str | None:
    """What is wrong with a checkpoint. Every tensor is read, which compares their checksums."""
    try:
        finite = all(bool(np.isfinite(value).all()) for _, value in _tensors(str(prefix)))
    except _UNREADABLE:
        return "cut off or damaged"
    return None if finite else "some weights are NaN or infinite"


def newest_weights(logdir: Path) -> tuple[Path, dict[str, NDArray[Any]]] | None:
    """The newest checkpoint whose weights can be read, and what ``load_weights`` gives for it, or None."""
    for prefix in reversed(all_prefixes(logdir)):
        try:
            return prefix, load_weights(str(prefix))
        except RunDirectoryError as error:
            log.warning(f"{error}; the checkpoint before it is taken")
    return None


def _tensors(prefix: str, wanted: Callable[[str], bool] = bool) -> Iterator[tuple[str, NDArray[Any]]]:
    """Of a checkpoint; those whose name is ``wanted``."""
    reader = v1.train.NewCheckpointReader(prefix)
    for name in filter(wanted, reader.get_variable_to_shape_map()):
        yield name, reader.get_tensor(name)


def step_of(prefix: Path) -> int:
    """Training steps behind a checkpoint ``model-<step>``."""
    return int(prefix.name.rpartition("-")[2])


def all_prefixes(logdir: Path) -> list[Path]:
    """Prefixes of all checkpoints of a run, oldest first, whole or not."""
    return sorted((path.with_suffix("") for path in logdir.glob("model-*.index")), key=step_of)


def rewind(logdir: Path, step: int) -> None:
    """Cut stats.json back to ``step``: a run that goes on from there leaves no gap and no double in it."""
    entries = statistics(logdir)
    if entries:
        kept = [entry for entry in entries if entry["global_step"] <= step]
        replace(logdir / "stats.json", json.dumps(kept))


def statistics(logdir: Path) -> list[dict[str, Any]]:
    """The entries of stats.json, one an epoch; none before the first."""
    stats = logdir / "stats.json"
    return list(json.loads(stats.read_text())) if stats.exists() else []


def load_weights(path: str) -> dict[str, NDArray[Any]]:
    """Weights by variable name from an .npz or a checkpoint; what belongs to its training is left out.

    That is the step, the learning rate and the optimizer's moments. Raises RunDirectoryError for other files.
    """
    try:
        if path.endswith(".npz"):
            with np.load(path) as archive:
                names = {name: name.removesuffix(":0") for name in archive.files}
                return {name: archive[key] for key, name in names.items() if is_weight(name)}
        return dict(_tensors(path, is_weight))
    except (*_UNREADABLE, OSError, zipfile.BadZipFile):
        raise RunDirectoryError(f"{path}: neither an .npz nor the prefix of a whole checkpoint") from None


def is_weight(name: str) -> bool:
    """Whether a variable of this name is the model's, and not of its training."""
    return not _OF_TRAINING.search(name)


def replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
