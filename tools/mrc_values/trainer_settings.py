"""The trainer's settings as the chart passes them, each with the value it came from."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mrc_cli.findings import ValuePath

from mrc_values.values import Values


@dataclass(frozen=True)
class ConfigArgument:
    """One KEY=VALUE of ``--config``. ``path`` is the value that sets it."""

    path: ValuePath
    text: str

    @property
    def key(self) -> str:
        """The part before the first equals sign."""
        return self.text.partition("=")[0].strip()


def keys(values: Values) -> dict[str, str]:
    """The trainer's keys by the names under ``maskrcnn`` that set them."""
    return {row.name: row.key for row in values.catalogue.trainer_settings}


def settings(values: Values) -> list[ConfigArgument]:
    """Every setting in the chart's order, extra_config last; a value that is null or empty sets none.

    With ``maskrcnn.train_script`` the chart passes some of them by a flag of the script instead.
    """
    result = []
    for row in values.catalogue.trainer_settings:
        value = values.get(f"maskrcnn.{row.name}")
        if value in (None, "") and not row.is_always_passed:
            continue
        text = f"$(DATA_FS)/{value or ''}".removesuffix("/") if row.is_path else literal(value)
        result.append(ConfigArgument(("maskrcnn", row.name), f"{row.key}={text}"))
    return [*result, *extra(values)]


def extra(values: Values) -> Iterator[ConfigArgument]:
    """The settings of extra_config, which is a list or a single string."""
    value = values.get("maskrcnn.extra_config")
    if isinstance(value, str):
        # Values may contain spaces, as in "A.B=[1, 2] C=3": a setting starts at a key.
        for text in re.split(r"\s+(?=[A-Z][A-Z0-9_.]*=)", value.strip()):
            if text:
                yield ConfigArgument(("maskrcnn", "extra_config"), text)
    elif isinstance(value, list):
        for index, text in enumerate(value):
            if isinstance(text, str) and text.strip():
                yield ConfigArgument(("maskrcnn", "extra_config", index), text.strip())


def literal(value: Any) -> str:
    """A value as the chart passes it to the trainer: a string unchanged, anything else as a Python
    literal."""
    return value.strip() if isinstance(value, str) else _python(value)


def _python(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_python, value))}]"
    return json.dumps(value)
