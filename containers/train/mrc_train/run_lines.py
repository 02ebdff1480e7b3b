"""The lines that a training run prints for people and programs: each with its writer and its parser.

A line is a keyword and ``key=value`` fields::

    progress step=1200/3500 epoch=6/18 loss=0.8123 images_per_second=120.3 eta=0:01:20
    evaluation step=1000 split=val2017 images=5000 bbox/AP=0.3712 bbox/AP50=0.5830
    evaluation_failed step=1000 split=val2017 reason="annotation 7 has no area"
    checkpoint step=1000 name=model-1000
    run_end outcome=finished step=3500 steps=3500

Text with blanks or quotes is written as a JSON string. Parsers accept what other programs put in front of a
line: mpirun's ``[1,0]<stdout>:``, the time and source of tensorpack's logger, colours. They return None for
every other line, never raise, and take time proportional to the line's length. Checkpoints and metrics as
tensorpack's own Mask R-CNN example prints them are understood as well, since users may train with its image.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mrc_cli.terminal import clock

MAX_LINE_LENGTH = 8192
"""Longer lines are none of ours."""

UNKNOWN = "unknown"
"""Written for a number that is not known yet."""

_TAG = re.compile(r"\[\d{1,9},\d{1,9}\]<(?:stdout|stderr)>:")
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,16}m")
_LOGGER = re.compile(r"\[\d{4} \d\d:\d\d:\d\d @[^\s\]:]{1,80}:\d{1,6}\] (?:(?:WRN|ERR|DBG) )?")
_FIELD = re.compile(r' +([a-zA-Z_][\w/.-]*)=("(?:[^"\\]|\\.)*"|[^\s"]\S*)')
_PLAIN = re.compile(r'[^\s"=\x00-\x1f\x7f-\x9f\ud800-\udfff][^\s"\x00-\x1f\x7f-\x9f\ud800-\udfff]*')
_INTEGER = re.compile(r"[0-9]{1,15}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,4})?")
_CLOCK = re.compile(r"([0-9]{1,9}):([0-5][0-9]):([0-5][0-9])")
_TENSORPACK_CHECKPOINT = re.compile(r"Model saved to (?:\S*/)?(model-([0-9]{1,15}))\.?")
_TENSORPACK_METRIC = re.compile(r"([^\s(]*mAP\((?:bbox|segm)\)/\S+): (\S+)")

Fields = Mapping[str, str]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step, steps: finished steps, and those of the complete run.
        epoch, epochs: the current epoch, counted from 1, and the number of all.
        loss: mean over the steps since the line before, written with four decimals.
        images_per_second: over all ranks, written with one decimal.
        eta_seconds: until the end of the run, with its evaluations; less when the run reaches a target.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float | None = None
    images_per_second: float | None = None
    eta_seconds: int | None = None

    def line(self) -> str:
        """The line of the log."""
        eta = UNKNOWN if self.eta_seconds is None else clock(self.eta_seconds)
        return (
            f"progress step={self.step}/{self.steps} epoch={self.epoch}/{self.epochs} "
            f"loss={_decimals(self.loss, 4)} "
            f"images_per_second={_decimals(self.images_per_second, 1)} eta={eta}"
        )

    @staticmethod
    def parse(line: str) -> "Progress | None":
        """The progress that a line reports, or None. Numbers that are not finite become None."""
        fields = _fields(line, "progress")
        step, steps = _fraction(fields.get("step", ""))
        epoch, epochs = _fraction(fields.get("epoch", ""))
        if step is None or steps is None or epoch is None or epochs is None:
            return None
        return Progress(
            step,
            steps,
            epoch,
            epochs,
            _number(fields.get("loss", "")),
            _number(fields.get("images_per_second", "")),
            _seconds(fields.get("eta", "")),
        )


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one validation split.

    Attributes:
        step: training steps behind the weights; None where tensorpack's example printed the metric.
        split: the split's name; empty where tensorpack's example printed the metric.
        images: number of images scored; None where it is not known.
        metrics: by name, ``bbox/AP50`` or tensorpack's ``mAP(bbox)/IoU=0.5``; written with four decimals.
    """

    step: int | None
    split: str
    images: int | None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """The line of the log."""
        metrics = "".join(f" {name}={value:.4f}" for name, value in self.metrics.items())
        step, images = (UNKNOWN if number is None else number for number in (self.step, self.images))
        return f"evaluation step={step} split={_text(self.split)} images={images}{metrics}"

    @staticmethod
    def parse(line: str) -> "Evaluation | None":
        """The evaluation that a line reports, or None. Metrics that are not finite are left out."""
        if match := _TENSORPACK_METRIC.fullmatch(_stripped(line)):
            value = _number(match[2])
            return None if value is None else Evaluation(None, "", None, {match[1]: value})
        fields = _fields(line, "evaluation")
        split = _string(fields.get("split", ""))
        if not fields or split is None:
            return None
        numbers = {name: _number(text) for name, text in fields.items() if "/" in name}
        return Evaluation(
            _integer(fields.get("step", "")),
            split,
            _integer(fields.get("images", "")),
            {name: value for name, value in numbers.items() if value is not None},
        )


@dataclass(frozen=True)
class EvaluationFailed:
    """A split could not be scored; the training continues."""

    step: int
    split: str
    reason: str

    def line(self) -> str:
        """The line of the log; a long reason is cut off."""
        return (
            f"evaluation_failed step={self.step} split={_text(self.split)} reason={_text(self.reason[:1000])}"
        )

    @staticmethod
    def parse(line: str) -> "EvaluationFailed | None":
        """The failure that a line reports, or None."""
        fields = _fields(line, "evaluation_failed")
        step = _integer(fields.get("step", ""))
        split, reason = _string(fields.get("split", "")), _string(fields.get("reason", ""))
        if step is None or split is None or reason is None:
            return None
        return EvaluationFailed(step, split, reason)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint is complete on disk; ``name`` is ``model-<step>``, without a directory."""

    step: int
    name: str

    def line(self) -> str:
        """The line of the log."""
        return f"checkpoint step={self.step} name={_text(self.name)}"

    @staticmethod
    def parse(line: str) -> "Checkpoint | None":
        """The checkpoint that a line reports, or None."""
        if match := _TENSORPACK_CHECKPOINT.fullmatch(_stripped(line)):
            return Checkpoint(int(match[2]), match[1])
        fields = _fields(line, "checkpoint")
        step, name = _integer(fields.get("step", "")), _string(fields.get("name", ""))
        return None if step is None or not name else Checkpoint(step, name)


class Outcome(StrEnum):
    """How a run ended that did not fail."""

    FINISHED = "finished"
    TARGET_REACHED = "target_reached"
    STOPPED = "stopped"


@dataclass(frozen=True)
class RunEnd:
    """The last line of a run that did not fail.

    Attributes:
        step, steps: finished steps, and those of the complete run.
        signal: name of the signal that stopped the run, such as ``SIGTERM``; empty for the other outcomes.
    """

    outcome: Outcome
    step: int
    steps: int
    signal: str = ""

    def line(self) -> str:
        """The line of the log."""
        by = f" signal={_text(self.signal)}" if self.signal else ""
        return f"run_end outcome={self.outcome} step={self.step} steps={self.steps}{by}"

    @staticmethod
    def parse(line: str) -> "RunEnd | None":
        """The end that a line reports, or None."""
        fields = _fields(line, "run_end")
        step, steps = _integer(fields.get("step", "")), _integer(fields.get("steps", ""))
        signal = _string(fields.get("signal", '""'))
        try:
            outcome = Outcome(fields.get("outcome", ""))
        except ValueError:
            return None
        return (
            None if step is None or steps is None or signal is None else RunEnd(outcome, step, steps, signal)
        )


RunLine = Progress | Evaluation | EvaluationFailed | Checkpoint | RunEnd


def parse_line(line: str) -> RunLine | None:
    """What a line of a run's log reports, or None for every line that this module did not write."""
    for kind in (Progress, Evaluation, EvaluationFailed, Checkpoint, RunEnd):
        if parsed := kind.parse(line):
            return parsed
    return None


@dataclass(frozen=True)
class LogSummary:
    """The newest report of each kind in a log.

    Attributes:
        metrics: of the last evaluation, named as in stats.json: with several splits their names stand in
            front, ``val2017/bbox/AP50``.
        failed: an evaluation that failed after the last one that succeeded.
        end: how the run ended; None while it runs, and for a run that failed.
    """

    progress: Progress | None = None
    checkpoint: Checkpoint | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    failed: EvaluationFailed | None = None
    end: RunEnd | None = None


def summarize(lines: Iterable[str]) -> LogSummary:
    """The newest report of each kind in the lines of a log."""
    progress: Progress | None = None
    checkpoint: Checkpoint | None = None
    failed: EvaluationFailed | None = None
    end: RunEnd | None = None
    evaluations: dict[str, Evaluation] = {}
    tensorpack: dict[str, float] = {}
    for line in lines:
        match parse_line(line):
            case Progress() as progress:
                end = None
            case Checkpoint() as checkpoint:
                pass
            case Evaluation(step=None) as evaluation:
                tensorpack |= evaluation.metrics
            case Evaluation() as evaluation:
                evaluations[evaluation.split] = evaluation
                failed = None
            case EvaluationFailed() as failed:
                pass
            case RunEnd() as end:
                pass
    several = len(evaluations) > 1
    metrics = {
        f"{split}/{name}" if several else name: value
        for split, evaluation in evaluations.items()
        for name, value in evaluation.metrics.items()
    }
    return LogSummary(progress, checkpoint, metrics | tensorpack, failed, end)


def _stripped(line: str) -> str:
    """A line without colours and without what mpirun and the logger put in front of it."""
    if len(line) > MAX_LINE_LENGTH:
        return ""
    text = _TAG.sub("", _COLOUR.sub("", line)).strip()
    prefix = _LOGGER.match(text)
    return text[prefix.end() :] if prefix else text


def _fields(line: str, keyword: str) -> Fields:
    """The fields of a line with this keyword; none for another line, or one with anything but fields."""
    if keyword not in line:
        return {}
    text = _stripped(line)
    if not text.startswith(f"{keyword} "):
        return {}
    fields, position = {}, len(keyword)
    while position < len(text):
        match = _FIELD.match(text, position)
        if match is None:
            return {}
        fields[match[1]] = match[2]
        position = match.end()
    return fields


def _decimals(number: float | None, digits: int) -> str:
    return UNKNOWN if number is None or not math.isfinite(number) else f"{number:.{digits}f}"


def _text(text: str) -> str:
    """Text as a field's value: plain, or as a JSON string where it would not be one word."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _string(value: str) -> str | None:
    """The text that ``_text`` wrote; None for a string that is not JSON."""
    if not value.startswith('"'):
        return value or None
    try:
        return str(json.loads(value))
    except ValueError:
        return None


def _integer(value: str) -> int | None:
    return int(value) if _INTEGER.fullmatch(value) else None


def _fraction(value: str) -> tuple[int | None, int | None]:
    """``1200/3500``."""
    done, _, total = value.partition("/")
    return _integer(done), _integer(total)


def _number(value: str) -> float | None:
    """A finite decimal number."""
    number = float(value) if _NUMBER.fullmatch(value) else math.nan
    return number if math.isfinite(number) else None


def _seconds(value: str) -> int | None:
    """``1:02:03`` in seconds."""
    match = _CLOCK.fullmatch(value)
    return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]) if match else None
