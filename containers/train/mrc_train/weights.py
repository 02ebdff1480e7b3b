"""Weights of one model brought into another: ImageNet's into a detector, COCO's into one of other classes."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrc_train.checkpoints import is_weight, load_weights
from mrc_train.tfgraph import v1

from tensorpack.tfutils.sessinit import SessionInit  # isort: skip

log = logging.getLogger("mrc_train")

NAMES_IN_FULL = 8
"""More layers than this are counted by part of the network instead."""


class StartFrom(SessionInit):
    """Gives the variables of a graph the values of a file, as far as name and shape are the same.

    What is not in the file, or has another shape there (the last layers, for other classes), keeps its
    initial values; the log has one line for each kind of difference.

    Args:
        path: an .npz with tensorpack's names, or the prefix of a checkpoint.

    Raises:
        RunDirectoryError: for another file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._values = load_weights(path)

    def _run_init(self, session: Any) -> None:
        variables = {v.op.name: v for v in v1.global_variables() if is_weight(v.op.name)}
        fits, lines = compared(self._path, self._values, {n: v.shape.as_list() for n, v in variables.items()})
        for name in fits:
            variables[name].load(self._values[name].astype(variables[name].dtype.as_numpy_dtype), session)
        for line in lines:
            log.info(line)


def compared(
    path: str, values: Mapping[str, NDArray[Any]], shapes: Mapping[str, list[int]]
) -> tuple[list[str], list[str]]:
    """Which variables take the values of a file, and what is to be said about the others.

    Args:
        values: of the file, by name.
        shapes: of the graph's variables, by name.
    """
    common = [name for name in shapes if name in values]
    fits = [name for name in common if list(values[name].shape) == shapes[name]]
    lines = [f"{path}: {len(fits)} of the model's {len(shapes)} variables start from it"]
    others = [
        f"{_layer(name)} {_text(values[name].shape)} there, {_text(shapes[name])} here"
        for name in common
        if name not in fits and not name.endswith("/b")
    ]
    if others:
        lines.append(f"{path}: made anew for another shape (other classes?): {'; '.join(others)}")
    if missing := [name for name in shapes if name not in values]:
        lines.append(f"{path}: made anew, not in it: {_summary(missing)}")
    if unused := [name for name in values if name not in shapes]:
        lines.append(f"{path}: not used, the model has no such variables: {_summary(unused)}")
    return fits, lines


def _layer(name: str) -> str:
    return name.rpartition("/")[0] or name


def _text(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))


def _summary(names: list[str]) -> str:
    """Layers by name or, if many, the number of variables in each part of the network."""
    layers = dict.fromkeys(map(_layer, names))
    if len(layers) <= NAMES_IN_FULL:
        return ", ".join(layers)
    return ", ".join(f"{part} ({n})" for part, n in Counter(name.split("/")[0] for name in names).items())


def write_npz(path: Path, values: Mapping[str, NDArray[Any]]) -> None:
    """Weights under tensorpack's names, which its example loads; replaces the file in one step."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(values))
    temporary.replace(path)
