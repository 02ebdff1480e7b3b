"""The trainer's settings as the chart passes them, each with the value that it came from."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mrc_cli.findings import ValuePath

from mrc_values.values import Values

KEYS = {
    "mode_mask": "MODE_MASK",
    "mode_fpn": "MODE_FPN",
    "data_train": "DATA.TRAIN",
    "data_val": "DATA.VAL",
    "steps_per_epoch": "TRAIN.STEPS_PER_EPOCH",
    "lr_schedule": "TRAIN.LR_SCHEDULE",
    "eval_period_in_epochs": "TRAIN.EVAL_PERIOD",
    "backbone_norm": "BACKBONE.NORM",
    "backbone_weights": "BACKBONE.WEIGHTS",
    "base_lr": "TRAIN.BASE_LR",
    "batch_size_per_gpu": "TRAIN.BATCH_SIZE_PER_GPU",
    "images_per_epoch": "TRAIN.IMAGES_PER_EPOCH",
    "lr_epoch_schedule": "TRAIN.LR_EPOCH_SCHEDULE",
    "gradient_clip": "TRAIN.GRADIENT_CLIP",
}
"""Names under maskrcnn that are settings of the trainer, and their keys there."""


@dataclass(frozen=True)
class Setting:
    """One KEY=VALUE. ``path`` is the value it came from."""

    path: ValuePath
    text: str

    @property
    def key(self) -> str:
        """What stands before the first equals sign."""
        return self.text.partition("=")[0].strip()


def settings(values: Values) -> list[Setting]:
    """Every setting in the chart's order, extra_config last; a value that is null or empty gives none."""
    found = []
    for name, key in KEYS.items():
        value = values.get(f"maskrcnn.{name}")
        if value is not None and value != "":
            found.append(Setting(("maskrcnn", name), f"{key}={literal(value)}"))
    return [*found, *extra(values)]


def extra(values: Values) -> Iterator[Setting]:
    """The settings of extra_config, a list or one text of them."""
    value = values.get("maskrcnn.extra_config")
    if isinstance(value, str):
        # Values may hold blanks, as in "A.B=[1, 2] C=3": a new setting starts where a key does.
        for text in re.split(r"\s+(?=[A-Z][A-Z0-9_.]*=)", value.strip()):
            if text:
                yield Setting(("maskrcnn", "extra_config"), text)
    elif isinstance(value, list):
        for index, text in enumerate(value):
            if isinstance(text, str) and text.strip():
                yield Setting(("maskrcnn", "extra_config", index), text.strip())


def literal(value: Any) -> str:
    """A value as the chart writes it for the trainer: text as it is, the rest as Python would."""
    return value.strip() if isinstance(value, str) else _python(value)


def _python(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_python, value))}]"
    return json.dumps(value)
