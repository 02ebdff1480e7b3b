"""The small files beside a run's checkpoints: statistics, classes, checksums of the data.

They are advisory for training. One that cannot be read, or holds something else, is set aside with a warning,
and the run resumes without it. Programs that need one say which and why.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from mrc_cli.files import write_atomically

from mrc_train.config import Config
from mrc_train.data.categories import Categories
from mrc_train.errors import ConfigError, RunDirectoryError
from mrc_train.run_directory import STATISTICS

CATEGORIES = "categories.json"
CHECKSUMS = "data.json"
SETTINGS = "config.yaml"

log = logging.getLogger("mrc_train")


def statistics_until(logdir: Path, step: int) -> list[dict[str, Any]]:
    """The entries of stats.json up to a step: a run that resumes there has no gap and no duplicate in it."""
    entries = _read_or_set_aside(logdir / STATISTICS, _are_statistics) or []
    return [entry for entry in entries if entry["global_step"] <= step]


def check_same_classes(logdir: Path, categories: Categories) -> None:
    """Raise RunDirectoryError when the run was started with other classes: its weights do not fit these."""
    expected = categories.to_json()
    before = _read_or_set_aside(
        logdir / CATEGORIES, lambda content: isinstance(content, dict) and content.keys() == expected.keys()
    )
    if before is not None and before != expected:
        raise RunDirectoryError(
            f"{logdir}: this run was started with other classes than the data has now; choose a new "
            "directory, and --load this one for its weights"
        )


def write_classes(logdir: Path, categories: Categories) -> None:
    """Write categories.json."""
    _write(logdir / CATEGORIES, json.dumps(categories.to_json()))


def read_settings(logdir: Path) -> Config:
    """The settings that a run was trained with.

    Raises:
        RunDirectoryError: for a file that is missing or not the trainer's.
    """
    path = logdir / SETTINGS
    text = _required(path)
    if not text.strip():
        raise RunDirectoryError(f"{path}: empty; copy it from a backup, or start the run again to write it")
    try:
        return Config.from_yaml(text)
    except (ConfigError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise RunDirectoryError(f"{path}: not the settings of a training run: {reason}") from None


def read_classes(logdir: Path) -> Categories:
    """The classes of a run.

    Raises:
        RunDirectoryError: for a file that is missing or not the trainer's.
    """
    path = logdir / CATEGORIES
    try:
        return Categories.from_json(json.loads(_required(path)))
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise RunDirectoryError(f"{path}: not the classes of a training run: {reason}") from None


def _required(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise RunDirectoryError(
            f"{path}: {error.strerror}; is {path.parent} the directory of a run?"
        ) from None
    except UnicodeDecodeError:
        raise RunDirectoryError(
            f"{path}: not a text file; is {path.parent} the directory of a run?"
        ) from None


def write_settings(logdir: Path, text: str) -> None:
    """Write config.yaml."""
    _write(logdir / SETTINGS, text)


def note_checksums(logdir: Path, files: Iterable[Path], step: int) -> None:
    """Keep the checksums of the annotation files; warn when a run resumes with other data than it had."""
    path = logdir / CHECKSUMS
    checksums = {str(file): _checksum(file) for file in files}
    before = (_read_or_set_aside(path, _are_checksums) or {}) if step else {}
    changed = sorted(file for file, checksum in checksums.items() if before.get(file, checksum) != checksum)
    if changed:
        log.warning(
            f"{', '.join(changed)}: changed since step {step}; metrics from here on are of other data"
        )
    _write(path, json.dumps(checksums))


def _read_or_set_aside(path: Path, is_valid: Callable[[Any], bool]) -> Any:
    """The content of a JSON file, or None when there is no valid one; an invalid one gets another name."""
    try:
        content = json.loads(path.read_text())
        if is_valid(content):
            return content
        reason = "has another content than expected"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        reason = f"cannot be read ({type(error).__name__})"
    aside = path.with_name(f"{path.name}.unreadable")
    try:
        path.replace(aside)
        log.warning(f"{path}: {reason}; renamed to {aside.name}, resuming without it")
    except OSError:
        log.warning(f"{path}: {reason}; resuming without it")
    return None


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        log.warning(f"{path} cannot be written: {error.strerror}; training continues without it")


def _are_statistics(content: Any) -> bool:
    return isinstance(content, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("global_step"), int) for entry in content
    )


def _are_checksums(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(value, str) for value in content.values())


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
