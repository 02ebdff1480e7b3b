"""Writes the version of pyproject.toml into everything that repeats it: charts, images, documentation.

With --check it writes nothing and fails when a file names another version.
"""

import re
import sys
import tomllib
from pathlib import Path

import generated
from generated import ROOT

VERSION = r"\d+\.\d+\.\d+"
IMAGE_TAG = rf"(\b(?:mask-rcnn|mask-rcnn-serve|mask-rcnn-stage|mask-rcnn-viz|mrc-train):){VERSION}"
OTHER_PRODUCTS = ("mpijob", "tensorboard")
"""Charts whose appVersion is that of the program they run, not the suite's."""

PLACES = {
    "charts/*/Chart.yaml": (rf"(^(?:    )?version: ){VERSION}$", rf'(^appVersion: "){VERSION}(?="$)'),
    "charts/*/values.schema.yaml": (IMAGE_TAG,),
    "charts/*/examples/**/*.yaml": (IMAGE_TAG,),
    "container*/**/Dockerfile": (rf'(image\.version="){VERSION}(?=")', IMAGE_TAG),
    "stage-data/Dockerfile": (rf'(image\.version="){VERSION}(?=")',),
    "README.md": (IMAGE_TAG,),
    "docs/*.md": (IMAGE_TAG,),
    "tools/testcluster/images.py": (IMAGE_TAG,),
}
"""Regular expressions by the files they apply to; the first group stays in front of the version."""


def project_version(root: Path) -> str:
    """The one source of the version."""
    version: str = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return version


def files(root: Path) -> dict[Path, str]:
    """Every file that names the version, with the text that it should have."""
    version = project_version(root)
    contents: dict[Path, str] = {}
    for pattern, expressions in PLACES.items():
        for file in sorted(root.glob(pattern)):
            text = old = file.read_text()
            for expression in expressions:
                if "appVersion" in expression and file.parent.name in OTHER_PRODUCTS:
                    continue
                text = re.sub(expression, rf"\g<1>{version}", text, flags=re.MULTILINE)
            if version in text or text != old:
                contents[file] = text
    return contents


if __name__ == "__main__":
    sys.exit(generated.main(__doc__, lambda: files(ROOT)))
