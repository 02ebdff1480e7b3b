"""Writes the section maskrcnn of charts/sagemaker/values.yaml, a copy of that of charts/maskrcnn/values.yaml.

With --check it writes nothing and fails when the section is not up to date.
"""

import re
import sys
from pathlib import Path

import generated
from generated import ROOT

SOURCE, TARGET = (ROOT / "charts" / chart / "values.yaml" for chart in ("maskrcnn", "sagemaker"))

SECTION = re.compile(r"^maskrcnn:\n(?:(?: .*)?\n)+", re.MULTILINE)
"""The section with its comments and blank lines."""


def files() -> dict[Path, str]:
    """The file with its text."""
    section = SECTION.search(SOURCE.read_text())
    assert section, f"{SOURCE} has no section maskrcnn"
    return {TARGET: SECTION.sub(lambda _: section[0], TARGET.read_text())}


if __name__ == "__main__":
    sys.exit(generated.main(__doc__, files))
