"""Transfer of weights between models: from ImageNet into a detector, from COCO into other classes."""

import io
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mrc_cli.files import write_atomically
from numpy.typing import NDArray

from mrc_train.checkpoints import is_weight, load_weights
from mrc_train.errors import RunDirectoryError
from mrc_train.tfgraph import v1

from tensorpack.tfutils.sessinit import SessionInit  # isort: skip

log = logging.getLogger("mrc_train")

NAMES_IN_FULL = 8
"""More layers than this are summarized as counts for each part of the network."""


class StartFrom(SessionInit):
    """Initializes the variables of a graph from a file where both name and shape match.

    A variable that is missing from the file or has another shape there (the last layers, for other classes)
    keeps its initial value; the log has one line for each kind of difference.

    Args:
        path: an .npz with tensorpack's names, or the prefix of a checkpoint.

    Raises:
        RunDirectoryError: if the file has another format, or the model has none of its variables.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._values = load_weights(path)

    def _run_init(self, session: Any) -> None:
        variables = {v.op.name: v for v in v1.global_variables() if is_weight(v.op.name)}
        fits, lines = compared(self._path, self._values, {n: v.shape.as_list() for n, v in variables.items()})
        if not fits:
            raise RunDirectoryError(
                f"{self._path}: the model uses none of its {len(self._values)} variables, such as "
                f"{', '.join(list(self._values)[:3]) or 'none'}; give weights of this architecture, or none "
                "to train from scratch"
            )
        for name in fits:
            variables[name].load(self._values[name].astype(variables[name].dtype.as_numpy_dtype), session)
        for line in lines:
            log.info(line)


def compared(
    path: str, values: Mapping[str, NDArray[Any]], shapes: Mapping[str, list[int]]
) -> tuple[list[str], list[str]]:
    """Names of the variables that match a file, and log lines about the match and all differences.

    Args:
        values: the file's arrays by name.
        shapes: the shapes of the graph's variables by name.
    """
    common = [name for name in shapes if name in values]
    fits = [name for name in common if list(values[name].shape) == shapes[name]]
    lines = [f"{path}: {len(fits)} of the model's {len(shapes)} variables are initialized from it"]
    others = [
        f"{_layer(name)} {_shape_string(values[name].shape)} there, {_shape_string(shapes[name])} here"
        for name in common
        if name not in fits and not name.endswith("/b")
    ]
    if others:
        lines.append(f"{path}: re-initialized because of another shape (other classes?): {'; '.join(others)}")
    if missing := [name for name in shapes if name not in values]:
        lines.append(f"{path}: re-initialized because it lacks them: {_summary(missing)}")
    if unused := [name for name in values if name not in shapes]:
        lines.append(f"{path}: unused, as the model has no such variables: {_summary(unused)}")
    return fits, lines


def _layer(name: str) -> str:
    return name.rpartition("/")[0] or name


def _shape_string(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))


def _summary(names: list[str]) -> str:
    """The layers' names or, if there are many, the number of variables in each part of the network."""
    layers = dict.fromkeys(map(_layer, names))
    if len(layers) <= NAMES_IN_FULL:
        return ", ".join(layers)
    return ", ".join(f"{part} ({n})" for part, n in Counter(name.split("/")[0] for name in names).items())


def write_npz(path: Path, values: Mapping[str, NDArray[Any]]) -> None:
    """Write weights under tensorpack's names, which its example loads; the file is replaced atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(values))
    write_atomically(path, buffer.getvalue())
