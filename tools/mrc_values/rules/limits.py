"""Numbers that are possible, also where they are written as text."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Problem, rule


@dataclass(frozen=True)
class _Limit:
    most: int
    unit: str
    whole: bool = False


_LIMITS = {
    "base_lr": _Limit(1, ""),
    "gradient_clip": _Limit(10_000, ""),
    "horovod_cycle_time": _Limit(1_000, "ms"),
    "horovod_fusion_threshold": _Limit(2**32, "bytes", whole=True),
    "nccl_min_rings": _Limit(64, "rings", whole=True),
    "tf_device_min_sys_mem_mb": _Limit(1_000_000, "MiB", whole=True),
}


@rule(
    "MRC076",
    Severity.ERROR,
    "numbers are of a possible size",
    failing="maskrcnn: {horovod_cycle_time: '67108864', horovod_fusion_threshold: '0.5'}",
    passing="maskrcnn: {horovod_cycle_time: '0.5', horovod_fusion_threshold: '67108864'}",
)
def numbers_are_possible(context: Context) -> Iterator[Problem]:
    """What reads these numbers does not complain: Horovod waits for a cycle of a day, a learning rate of 50
    makes the loss NaN, and TensorFlow leaves more memory free than the GPU has. Mostly two of them were
    swapped, or a unit was mistaken: cycle times are milliseconds, fusion thresholds bytes."""
    for name, limit in _LIMITS.items():
        number = _number(context.values.get(f"maskrcnn.{name}"))
        if number is None:
            continue
        most, of = limit.most, ""
        if name == "tf_device_min_sys_mem_mb" and (group := context.node_group):
            most, of = group.gpu_memory_mib - 1, f": the {group.gpu} has {group.gpu_memory_mib}"
        if number > most:
            unit = f" {limit.unit}".rstrip()
            yield Problem(
                f"maskrcnn.{name}", f"{_short(number)}{unit} is too much{of}.", f"Set it to {most} at most."
            )
        elif limit.whole and number != number.to_integral_value():
            yield Problem(
                f"maskrcnn.{name}",
                f"{number} is no whole number of {limit.unit}.",
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
