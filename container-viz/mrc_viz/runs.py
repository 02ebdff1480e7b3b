"""Training runs on a file system: which there are, and what their folders tell. No TensorFlow is imported."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from mrc_train.config import Config
from mrc_train.data.coco import Split, load_split
from mrc_train.errors import ConfigError, RunFolderError
from numpy.typing import NDArray

_CHECKPOINT = re.compile(r"model-(\d+)\.index")


class Series(NamedTuple):
    """One scalar: steps int64 (n,), rising, and its values float64 (n,)."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


History = dict[str, Series]
"""Scalars of a run by name: ``loss/total``, ``learning_rate``, ``bbox/AP50``, ..."""


@dataclass(frozen=True)
class Run:
    """A run with at least one checkpoint: its folder, their steps, newest first, and when that was saved."""

    folder: Path
    steps: tuple[int, ...]
    saved: datetime

    @property
    def step(self) -> int:
        """Of the newest checkpoint."""
        return self.steps[0]

    def __str__(self) -> str:
        return f"{self.folder}  step {self.step}, saved {self.saved:%Y-%m-%d %H:%M}"


def find_runs(folder: Path | str) -> list[Run]:
    """The runs under a folder, however deep, or the folder itself; the one that saved last comes first.

    Raises:
        RunFolderError: in one line, when there is none.
    """
    runs = sorted(_search(Path(folder)), key=lambda run: run.saved, reverse=True)
    if not runs:
        what = "no run with a checkpoint" if Path(folder).is_dir() else "no such folder"
        raise RunFolderError(f"{folder}: {what}; name the folder that runs are written to")
    return runs


def _search(folder: Path) -> Iterator[Run]:
    for place, folders, files in os.walk(folder):
        found = [int(match[1]) for name in files if (match := _CHECKPOINT.fullmatch(name))]
        if found and "config.yaml" in files:
            steps = tuple(sorted(found, reverse=True))
            saved = Path(place, f"model-{steps[0]}.index").stat().st_mtime
            yield Run(Path(place), steps, datetime.fromtimestamp(saved).astimezone())
        # Not into a data set's pictures: listing them takes long on a network file system.
        annotations = Path(place, "annotations")
        folders[:] = [name for name in folders if not (annotations / f"instances_{name}.json").exists()]


def read_history(run: Path) -> History:
    """Every scalar of ``stats.json``; one that not every epoch has (an AP, say) has fewer steps.

    Raises:
        RunFolderError: for a file that is missing or is not the trainer's.
    """
    path = run / "stats.json"
    try:
        entries = json.loads(_text(path))
        names = dict.fromkeys(name for entry in entries for name in entry)
        return {
            name: Series(
                np.array([entry["global_step"] for entry in entries if name in entry], np.int64),
                np.array([entry[name] for entry in entries if name in entry], np.float64),
            )
            for name in names
            if name not in ("epoch_num", "global_step")
        }
    except (ValueError, TypeError, KeyError):
        raise RunFolderError(f"{path}: not the statistics of a training run") from None


def read_settings(run: Path) -> Config:
    """The settings that the run was trained with.

    Raises:
        RunFolderError: for a file that is missing or is not the trainer's.
    """
    path = run / "config.yaml"
    try:
        return Config.from_yaml(_text(path))
    except (ConfigError, yaml.YAMLError) as error:
        reason = str(error).partition("\n")[0]
        raise RunFolderError(f"{path}: not the settings of a training run: {reason}") from None


def validation_splits(run: Path) -> list[Split]:
    """Pictures and objects of DATA.VAL from where the run had its data, what it did not train on first.

    Raises:
        RunFolderError: for a run without settings or without validation data.
        DataError: in one line, for data that is not there any more or is not COCO's.
    """
    cfg = read_settings(run)
    if not cfg.DATA.VAL:
        raise RunFolderError(f"{run}: trained without validation data (DATA.VAL is empty)")
    splits = [load_split(cfg.DATA.BASEDIR, name, cfg.MODE_MASK) for name in cfg.DATA.VAL]
    trained_on = [name.removeprefix("coco_") for name in cfg.DATA.TRAIN]
    return sorted(splits, key=lambda split: split.name in trained_on)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise RunFolderError(f"{path}: {error.strerror}; is {path.parent} the folder of a run?") from None
