"""Renew the version pins in pyproject.toml: newest versions that fit, written as constraints.

uv.lock would do this better, but it records the registry it was made with; constraints do not.
"""

import re
import subprocess
import sys

import hashes
from hashes import PYPROJECT

PINS = re.compile(r"constraint-dependencies = \[\n(.*?)^\]\n", re.DOTALL | re.MULTILINE)


def main(uv: str) -> None:
    text = PYPROJECT.read_text()
    PYPROJECT.write_text(PINS.sub("constraint-dependencies = [\n]\n", text))
    subprocess.run([uv, "lock", "--upgrade", "--quiet"], check=True)  # noqa: S603
    lines = sorted(hashes.exported(uv))
    pins = "".join(f'  "{line}",\n' for line in lines)
    PYPROJECT.write_text(PINS.sub(lambda _: f"constraint-dependencies = [\n{pins}]\n", text))
    print(f"{len(lines)} versions pinned in {PYPROJECT.name}")
    hashes.main(uv, "--upgrade")


if __name__ == "__main__":
    main(sys.argv[1])
