"""What a run's directory holds, for programs that watch or show runs. Imports neither TensorFlow nor NumPy.

The files may be written at the same moment, by another program, or by an older version: a file that is
missing or odd reads as if it held nothing, and no reader here raises.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from mrc_train.run_lines import Progress

PROGRESS = "progress.json"
STATISTICS = "stats.json"

MAX_FILE_BYTES = 64 * 2**20
"""Larger files are not the trainer's."""

_CHECKPOINT_INDEX = re.compile(r"model-(0|[1-9][0-9]{0,14})\.index")
_DATA_SHARD = re.compile(r"\.data-([0-9]{5})-of-([0-9]{5})")
_METRIC = re.compile(r"(?:.+/)?(?:bbox|segm)/[^/]+|(?:.+-)?mAP\((?:bbox|segm)\)/.+")
_QUOTED = re.compile(r"(?:(.+)[/-])?(?:(bbox|segm)/(AP50|AP)|mAP\((bbox|segm)\)/IoU=(0\.5|0\.5:0\.95))")
_NAMES = {"bbox": "box", "segm": "mask", "0.5": "AP50", "0.5:0.95": "AP"}

QUOTED_METRICS = ("box AP50", "mask AP50", "box AP", "mask AP")
"""Names of the metrics that people quote, in the order of tables."""


@dataclass(frozen=True)
class RunProgress:
    """The content of progress.json.

    Attributes:
        progress: the last report.
        reported: when that was written.
        heartbeat: when the run last showed that it is alive, at least every minute; None in files of older
            versions.
    """

    progress: Progress
    reported: datetime | None = None
    heartbeat: datetime | None = None


@dataclass(frozen=True)
class EpochStatistics:
    """An entry of stats.json: the finite scalars after ``step`` steps, by name."""

    step: int
    epoch: int
    scalars: Mapping[str, float]


@dataclass(frozen=True)
class LastEvaluation:
    """Metrics of the newest epoch that was evaluated.

    Attributes:
        metrics: by name: ``bbox/AP50``, with several splits ``val2017/bbox/AP50``, or tensorpack's
            ``mAP(bbox)/IoU=0.5``.
    """

    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)


def read_progress(directory: Path) -> RunProgress | None:
    """The last progress report of a run; None before the first."""
    content = _read_json(directory / PROGRESS)
    if not isinstance(content, dict):
        return None
    step, steps, epoch, epochs = (
        _integer(content.get(name)) for name in ("step", "steps", "epoch", "epochs")
    )
    if step is None or steps is None:
        return None
    eta = _number(content.get("eta_seconds"))
    progress = Progress(
        step,
        steps,
        epoch or 0,
        epochs or 0,
        _number(content.get("loss")),
        _number(content.get("images_per_second")),
        None if eta is None or eta < 0 else round(eta),
    )
    return RunProgress(progress, _time(content.get("time")), _time(content.get("heartbeat")))


def read_statistics(directory: Path) -> list[EpochStatistics]:
    """The entries of stats.json in the order of the file; entries without a step are left out."""
    content = _read_json(directory / STATISTICS)
    entries = []
    for entry in content if isinstance(content, list) else []:
        if not isinstance(entry, dict) or (step := _integer(entry.get("global_step"))) is None:
            continue
        numbers = {name: _number(value) for name, value in entry.items()}
        scalars = {
            name: value
            for name, value in numbers.items()
            if value is not None and name not in ("global_step", "epoch_num")
        }
        entries.append(EpochStatistics(step, _integer(entry.get("epoch_num")) or 0, scalars))
    return entries


def last_evaluation(directory: Path) -> LastEvaluation | None:
    """The newest evaluation in stats.json; None before the first."""
    for entry in reversed(read_statistics(directory)):
        if metrics := {name: value for name, value in entry.scalars.items() if _METRIC.fullmatch(name)}:
            return LastEvaluation(entry.step, metrics)
    return None


class QuotedMetric(NamedTuple):
    """A metric that people quote: the split, empty when there is only one, and one of QUOTED_METRICS."""

    split: str
    name: str


def quoted_metric(scalar: str) -> QuotedMetric | None:
    """The quoted metric that a scalar of stats.json is, by our name or tensorpack's; None for all others."""
    match = _QUOTED.fullmatch(scalar)
    if match is None:
        return None
    split, kind, metric, other_kind, iou = match.groups()
    return QuotedMetric(split or "", f"{_NAMES[kind or other_kind]} {metric or _NAMES[iou]}")


def headline(metrics: Mapping[str, float]) -> dict[str, float]:
    """AP50 of boxes and masks, under the names that people quote: ``box AP50`` and ``mask AP50``.

    Those of several splits have the split's name in front: ``val2017/box AP50``. Negative values, which mean
    that the split has no such object, are left out.
    """
    quoted = ((quoted_metric(scalar), value) for scalar, value in metrics.items())
    return {
        f"{metric.split}/{metric.name}" if metric.split else metric.name: value
        for metric, value in quoted
        if metric and metric.name.endswith("AP50") and value >= 0
    }


def checkpoint_steps(directory: Path) -> list[int]:
    """Steps of the complete checkpoints of a run, oldest first.

    A checkpoint is complete when its index and every data file exist, which TensorFlow renames into place
    in the opposite order. Whether their content is sound takes TensorFlow: ``checkpoints.newest_complete``.
    """
    names = _names(directory)
    steps = [int(match[1]) for name in names if (match := _CHECKPOINT_INDEX.fullmatch(name))]
    return sorted(step for step in steps if _has_all_data(f"model-{step}", names))


def newest_checkpoint(directory: Path) -> str | None:
    """Name of the newest complete checkpoint, such as ``model-600``; None before the first."""
    steps = checkpoint_steps(directory)
    return f"model-{steps[-1]}" if steps else None


def _has_all_data(prefix: str, names: Sequence[str]) -> bool:
    shards = [
        match
        for name in names
        if name.startswith(prefix) and (match := _DATA_SHARD.fullmatch(name, len(prefix)))
    ]
    return bool(shards) and len(shards) == int(shards[0][2])


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except OSError:
        return []


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return None
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None


def _integer(value: Any) -> int | None:
    """A count: an integer from 0, of a size that a run can have."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _time(value: Any) -> datetime | None:
    """A moment with its time zone."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
