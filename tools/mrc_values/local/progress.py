"""What a run has reached, read from its log lines and its folder."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrc_values.launcher_log import without_tag

_METRIC = re.compile(r"(?:^|/)(?:bbox|segm)/|^mAP\((?:bbox|segm)\)/")
_FIELD = re.compile(r"(\w+)=(\S+)")


@dataclass(frozen=True)
class Progress:
    """The trainer's last word. ``eta`` is seconds; numbers are None until they are known."""

    step: int | None = None
    steps: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    images_per_second: float | None = None
    eta_seconds: float | None = None


def parse_line(line: str) -> Progress | None:
    """A line ``progress step=1200/3500 epoch=6/18 loss=0.8123 images_per_second=120.3 eta=0:01:20``.

    mpirun's tag of the rank may stand before it. None for every other line.
    """
    text = without_tag(line)
    if not text.startswith("progress "):
        return None
    fields = dict(_FIELD.findall(text))
    try:
        step, steps = _fraction(fields.get("step"))
        epoch, epochs = _fraction(fields.get("epoch"))
        return Progress(
            step,
            steps,
            epoch,
            epochs,
            _number(fields.get("loss")),
            _number(fields.get("images_per_second")),
            _seconds(fields.get("eta")),
        )
    except ValueError:
        return None


def read(run_dir: Path) -> Progress:
    """The run folder's progress.json; empty when there is none yet."""
    found = _json(run_dir / "progress.json")
    if not isinstance(found, dict):
        return Progress()
    return Progress(**{key: value for key, value in found.items() if key in Progress.__dataclass_fields__})


def newest_checkpoint(run_dir: Path) -> str:
    """Name of the checkpoint that a restart would load; empty when there is none."""
    try:
        match = re.search(
            r'^model_checkpoint_path: "(.*)"', (run_dir / "checkpoint").read_text(), re.MULTILINE
        )
    except OSError:
        return ""
    return Path(match[1]).name if match else ""


def last_evaluation(run_dir: Path) -> dict[str, float]:
    """COCO metrics of the newest epoch that has any: ``bbox/AP50``, ``segm/AP``, and, with several
    validation splits, ``<split>/bbox/AP50``. Tensorpack's own names, ``mAP(bbox)/IoU=0.5``, are taken too.
    """
    entries = _json(run_dir / "stats.json")
    for entry in reversed(entries if isinstance(entries, list) else []):
        if found := {key: float(value) for key, value in entry.items() if _METRIC.search(key)}:
            return found
    return {}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _fraction(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    done, _, total = text.partition("/")
    return int(done), int(total) if total else None


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _seconds(text: str | None) -> float | None:
    """``0:01:20`` in seconds."""
    if text is None:
        return None
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
