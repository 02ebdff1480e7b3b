"""The checkpoints in a run's directory, and the weights in them."""

import logging
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrc_train.errors import RunDirectoryError
from mrc_train.precision import LOSS_SCALE
from mrc_train.run_directory import checkpoint_steps
from mrc_train.tfgraph import tf, v1

log = logging.getLogger("mrc_train")

TOTAL_BATCH = "total_batch"
"""Name of the variable that holds the number of images in a step over all ranks."""

_TRAINING_STATE = re.compile(
    rf"^(global_step|{TOTAL_BATCH}|learning_rate|beta[12]_power|{LOSS_SCALE}|good_steps)$"
    r"|/(Momentum|Adam|Adam_1)$|^EMA/"
)

_UNREADABLE = (tf.errors.OpError, ValueError, RuntimeError, IndexError, TypeError, KeyError, EOFError)
"""What TensorFlow and NumPy raise for a truncated file or one of another format."""


def newest_complete(logdir: Path) -> Path | None:
    """Prefix of the newest checkpoint that a run can resume from, or None.

    A damaged checkpoint and one whose weights are not finite are skipped with a warning.
    """
    for prefix in reversed(all_prefixes(logdir)):
        defect = _defect(prefix)
        if defect is None:
            return prefix
        log.warning(f"{prefix}: {defect}; using the previous checkpoint")
    return None


def _defect(prefix: Path) -> str | None:
    """A description of a checkpoint's defect, or None. Reading every tensor verifies the checksums."""
    try:
        finite = all(bool(np.isfinite(value).all()) for _, value in _tensors(str(prefix)))
    except _UNREADABLE:
        return "truncated or damaged"
    return None if finite else "some weights are NaN or infinite"


def newest_weights(logdir: Path) -> tuple[Path, dict[str, NDArray[Any]]] | None:
    """Prefix and weights (see ``load_weights``) of the newest checkpoint that can be read, or None."""
    for prefix in reversed(all_prefixes(logdir)):
        try:
            return prefix, load_weights(str(prefix))
        except RunDirectoryError as error:
            log.warning(f"{error}; using the previous checkpoint")
    return None


def _tensors(prefix: str, wanted: Callable[[str], bool] = bool) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and value of the tensors of a checkpoint for whose name ``wanted`` returns True."""
    reader = v1.train.NewCheckpointReader(prefix)
    for name in filter(wanted, reader.get_variable_to_shape_map()):
        yield name, reader.get_tensor(name)


def step_of(prefix: Path) -> int:
    """The training step at which a checkpoint ``model-<step>`` was saved."""
    return int(prefix.name.rpartition("-")[2])


def total_batch_of(prefix: Path) -> int | None:
    """Images a step over all ranks in a checkpoint's run; None for a checkpoint of tensorpack's example."""
    reader = v1.train.NewCheckpointReader(str(prefix))
    return int(reader.get_tensor(TOTAL_BATCH)) if reader.has_tensor(TOTAL_BATCH) else None


def all_prefixes(logdir: Path) -> list[Path]:
    """Prefixes of all checkpoints of a run whose files exist, oldest first."""
    return [logdir / f"model-{step}" for step in checkpoint_steps(logdir)]


def load_weights(path: str) -> dict[str, NDArray[Any]]:
    """Weights by variable name from an .npz file or a checkpoint.

    Training state is left out: the step, the learning rate and the optimizer's moments.

    Raises:
        RunDirectoryError: if the file is missing, damaged or of another format.
    """
    try:
        if path.endswith(".npz"):
            with np.load(path) as archive:
                names = {name: name.removesuffix(":0") for name in archive.files}
                return {name: archive[key] for key, name in names.items() if is_weight(name)}
        return dict(_tensors(path, is_weight))
    except (*_UNREADABLE, OSError, zipfile.BadZipFile, zlib.error):
        raise RunDirectoryError(
            f"{path}: neither an intact .npz file nor the prefix of a complete checkpoint"
        ) from None


def is_weight(name: str) -> bool:
    """Whether a variable of this name is a weight of the model rather than training state."""
    return not _TRAINING_STATE.search(name)
