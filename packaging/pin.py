"""Renew the version pins in pyproject.toml: newest versions that fit, written as constraints.

uv.lock would do this better, but it records the registry it was made with; constraints do not.
"""

import re
import subprocess
import sys
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
PINS = re.compile(r"constraint-dependencies = \[\n(.*?)^\]\n", re.DOTALL | re.MULTILINE)
FLAVORS = (("train-cpu", "serve-cpu"), ("train-gpu", "serve-gpu"))


def exported(uv: str, flavor: tuple[str, ...]) -> list[str]:
    """Requirement lines of everything but the other flavor."""
    extras = [part for extra in (*flavor, "values", "viz", "stage") for part in ("--extra", extra)]
    command = [
        uv,
        "export",
        "--quiet",
        "--no-hashes",
        "--no-emit-project",
        "--no-annotate",
        "--no-header",
        *extras,
        "--group",
        "oracle",
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()  # noqa: S603


def main(uv: str) -> None:
    text = PYPROJECT.read_text()
    PYPROJECT.write_text(PINS.sub("constraint-dependencies = [\n]\n", text))
    subprocess.run([uv, "lock", "--upgrade", "--quiet"], check=True)  # noqa: S603
    lines = sorted({line for flavor in FLAVORS for line in exported(uv, flavor)})
    pins = "".join(f'  "{line}",\n' for line in lines)
    PYPROJECT.write_text(PINS.sub(lambda _: f"constraint-dependencies = [\n{pins}]\n", text))
    print(f"{len(lines)} versions pinned in {PYPROJECT.name}")


if __name__ == "__main__":
    main(sys.argv[1])
