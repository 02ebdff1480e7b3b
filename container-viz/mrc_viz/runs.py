"""Training runs on a file system, and what their directories contain. Does not import TensorFlow."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mrc_train import run_directory
from mrc_train.data.coco import Split, load_split
from mrc_train.errors import RunDirectoryError
from mrc_train.side_files import read_settings
from numpy.typing import NDArray


class Series(NamedTuple):
    """One scalar: steps int64 (n,), increasing, and its values float64 (n,)."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


History = dict[str, Series]
"""Scalars of a run by name: ``loss/total``, ``learning_rate``, ``bbox/AP50``, ..."""


@dataclass(frozen=True)
class Run:
    """A run with at least one complete checkpoint.

    Attributes:
        directory: the run's directory.
        steps: steps of the checkpoints, newest first.
        saved: when the newest was saved.
    """

    directory: Path
    steps: tuple[int, ...]
    saved: datetime

    @property
    def step(self) -> int:
        """The step of the newest checkpoint."""
        return self.steps[0]

    def __str__(self) -> str:
        return f"{self.directory}  step {self.step}, saved {self.saved:%Y-%m-%d %H:%M}"


def find_runs(directory: Path | str) -> list[Run]:
    """The runs in a directory, at any depth, or the directory itself; the most recently saved comes first.

    Raises:
        RunDirectoryError: when there is none.
    """
    runs = sorted(_search(Path(directory)), key=lambda run: run.saved, reverse=True)
    if not runs:
        problem = "contains no run with a checkpoint" if Path(directory).is_dir() else "directory not found"
        raise RunDirectoryError(f"{directory}: {problem}; give the directory that runs are written to")
    return runs


def _search(directory: Path) -> Iterator[Run]:
    for name, subdirectories, files in os.walk(directory):
        path = Path(name)
        if "config.yaml" in files and (steps := run_directory.checkpoint_steps(path)):
            saved = (path / f"model-{steps[-1]}.index").stat().st_mtime
            yield Run(path, tuple(reversed(steps)), datetime.fromtimestamp(saved).astimezone())
        # The images of a data set are skipped: listing them takes long on a network file system.
        annotations = path / "annotations"
        subdirectories[:] = [
            name for name in subdirectories if not (annotations / f"instances_{name}.json").exists()
        ]


def read_history(run: Path) -> History:
    """Every finite scalar of ``stats.json``; those of only some epochs, such as AP, have fewer steps.

    Raises:
        RunDirectoryError: for a file that is missing or not the trainer's.
    """
    entries = run_directory.read_statistics(run)
    if not entries:
        path = run / run_directory.STATISTICS
        if not path.exists():
            raise RunDirectoryError(f"{path}: not found; is {run} the directory of a run?")
        raise RunDirectoryError(f"{path}: contains no statistics of a training run")
    names = dict.fromkeys(name for entry in entries for name in entry.scalars)
    return {
        name: Series(
            np.array([entry.step for entry in entries if name in entry.scalars], np.int64),
            np.array([entry.scalars[name] for entry in entries if name in entry.scalars], np.float64),
        )
        for name in names
    }


def validation_splits(run: Path) -> list[Split]:
    """The splits of DATA.VAL, read from where the run had its data; those it was not trained on come first.

    Raises:
        RunDirectoryError: for a run without settings or without validation data.
        DataError: for data that are missing or not in COCO format.
    """
    cfg = read_settings(run)
    if not cfg.DATA.VAL:
        raise RunDirectoryError(f"{run}: trained without validation data (DATA.VAL is empty)")
    splits = [load_split(cfg.DATA.BASEDIR, name, cfg.MODE_MASK) for name in cfg.DATA.VAL]
    trained_on = [name.removeprefix("coco_") for name in cfg.DATA.TRAIN]
    return sorted(splits, key=lambda split: split.name in trained_on)
