"""Ranges and precision of numbers, including numbers written as strings."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Violation, rule

_MAX_EXACT = 2**53


@dataclass(frozen=True)
class _Limit:
    maximum: int
    unit: str
    integer: bool = False


_LIMITS = {
    "base_lr": _Limit(1, ""),
    "gradient_clip": _Limit(10_000, ""),
    "horovod_cycle_time": _Limit(1_000, "ms"),
    "horovod_fusion_threshold": _Limit(2**32, "bytes", integer=True),
    "nccl_min_rings": _Limit(64, "rings", integer=True),
    "tf_device_min_sys_mem_mb": _Limit(1_000_000, "MiB", integer=True),
}


@rule(
    "MRC071",
    Severity.ERROR,
    "numbers are exact in Helm",
    failing="maskrcnn: {horovod_fusion_threshold: 9007199254740993}",
    passing="maskrcnn: {horovod_fusion_threshold: '67108864'}",
)
def numbers_are_exact(context: Context) -> Iterator[Violation]:
    """Helm parses every number as 64-bit floating point with 53 bits of precision: beyond 9007199254740992
    the last digits change, and templates may print 1e+16."""
    section = context.values.get("maskrcnn")
    for name, value in section.items() if isinstance(section, dict) else ():
        if isinstance(value, int | float) and abs(value) >= _MAX_EXACT:
            written = context.values.written(f"maskrcnn.{name}") or str(value)
            yield Violation(
                f"maskrcnn.{name}",
                f"{written} is too large for Helm to represent exactly.",
                "Put it in quotes, or make it smaller.",
            )


@rule(
    "MRC076",
    Severity.ERROR,
    "numbers are in a plausible range",
    failing="maskrcnn: {horovod_cycle_time: '67108864', horovod_fusion_threshold: '0.5'}",
    passing="maskrcnn: {horovod_cycle_time: '0.5', horovod_fusion_threshold: '67108864'}",
)
def numbers_are_plausible(context: Context) -> Iterator[Violation]:
    """The programs that use these numbers do not validate them: Horovod accepts a cycle time of a day, a
    learning rate of 50 makes the loss NaN, and TensorFlow reserves more memory than the GPU has. Usually
    two values were swapped or a unit was confused: cycle times are in milliseconds, fusion thresholds in
    bytes."""
    for name, limit in _LIMITS.items():
        number = _number(context.values.get(f"maskrcnn.{name}"))
        if number is None:
            continue
        maximum, reason = limit.maximum, ""
        if name == "tf_device_min_sys_mem_mb" and (group := context.node_group):
            maximum, reason = group.gpu_memory_mib - 1, f": the {group.gpu} has {group.gpu_memory_mib} MiB"
        if number > maximum:
            unit = f" {limit.unit}".rstrip()
            yield Violation(
                f"maskrcnn.{name}",
                f"{_short(number)}{unit} is too large{reason}.",
                f"Set it to at most {maximum}.",
            )
        elif limit.integer and number != number.to_integral_value():
            yield Violation(
                f"maskrcnn.{name}",
                f"{number} is not an integer number of {limit.unit}.",
                f"Write it as {round(number)}.",
            )


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _short(number: Decimal) -> str:
    text = f"{number:f}"
    return text if len(text) <= 20 else f"{number:.3g}"
