"""Write packaging/requirements: the packages that make and the images install, with hashes of their files.

- ``packages.txt``: what pyproject.toml pins,
- ``build.txt``: what Horovod and the project's wheel are built with,
- every other: what the ``.in`` file beside it asks for.

They name no registry.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYPROJECT = ROOT / "pyproject.toml"
REQUIREMENTS = ROOT / "packaging" / "requirements"
STUB = ROOT / "packaging" / "horovod-xla-stub" / "wheel"
FLAVORS = (("train-cpu", "serve-cpu"), ("train-gpu", "serve-gpu"))
EDITABLE = "editables"
"""What hatchling asks for to install a checkout; it is not in pyproject.toml."""

Hashes = dict[str, set[str]]
"""The SHA-256 of a package's files by its pin, such as ``numpy==2.4.6 ; python_full_version < '3.12'``."""


def parsed(text: str) -> Hashes:
    """The pins of a requirements file. Raises ValueError for a line that is neither a pin nor a hash."""
    hashes: Hashes = {}
    pin = ""
    for line in filter(None, text.splitlines()):
        line = line.removesuffix("\\").strip()
        if line.startswith("--hash=sha256:") and pin:
            hashes[pin].add(line.removeprefix("--hash=sha256:"))
        elif re.match(r"[a-z0-9][a-z0-9.-]*==", line):
            pin = line
            hashes.setdefault(pin, set())
        else:
            raise ValueError(f"{line}: is neither a pin nor a hash")
    return hashes


def written(packages: Hashes) -> str:
    """The requirements file of these pins, sorted."""
    blocks = (
        [pin, *(f"    --hash=sha256:{value}" for value in sorted(packages[pin]))] for pin in sorted(packages)
    )
    return "".join(" \\\n".join(block) + "\n" for block in blocks)


def exported(uv: str) -> Hashes:
    """Everything that the extras and groups of pyproject.toml install, for CPUs and GPUs, from uv.lock."""
    packages: Hashes = {}
    for flavor in FLAVORS:
        extras = [part for extra in (*flavor, "values", "viz", "stage") for part in ("--extra", extra)]
        shape = ("--no-emit-project", "--no-annotate", "--no-header", "--group", "oracle")
        for pin, hashes in parsed(_output(uv, "export", "--quiet", *shape, *extras)).items():
            packages.setdefault(pin, set()).update(hashes)
    return packages


def of_the_pins(packages: Hashes, pins: Sequence[str]) -> Hashes:
    """The hashes of the pins of pyproject.toml. Raises ValueError if they are not what uv.lock has.

    Only the versions are compared: uv writes other markers once the pins are constraints.
    """
    versions = {pin.partition(" ;")[0]: hashes for pin, hashes in packages.items()}
    if wrong := versions.keys() ^ {pin.partition(" ;")[0] for pin in pins}:
        raise ValueError(
            f"{', '.join(sorted(wrong))}: not the pins of pyproject.toml. Correct them, or run make lock."
        )
    return {pin: versions[pin.partition(" ;")[0]] for pin in pins}


def build_requirements() -> list[str]:
    """What pyproject.toml names for builds: of Horovod, and of the project's wheel."""
    project = tomllib.loads(PYPROJECT.read_text())
    extra: list[str] = project["tool"]["uv"]["extra-build-dependencies"]["horovod"]
    own: list[str] = project["build-system"]["requires"]
    return [*extra, *own, EDITABLE]


def compile_(uv: str, source: Path, target: Path, more: Sequence[str]) -> None:
    """Resolve a file with requirements; versions that ``target`` already has are kept."""
    shape = ("--universal", "--python-version=3.11", "--generate-hashes", "--no-annotate", "--no-header")
    _output(
        uv, "pip", "compile", "--quiet", "--no-config", *shape, *more, str(source), f"--output-file={target}"
    )
    target.write_text(written(parsed(target.read_text())))


def compile_build(uv: str, packages: Iterable[str], more: Sequence[str]) -> None:
    """Resolve what builds need, in the versions that are installed wherever a build does not name its own."""
    required = build_requirements()
    own = {re.split(r"[<>=]", requirement)[0] for requirement in required if re.search(r"[<>=]", requirement)}
    with tempfile.TemporaryDirectory() as name:
        source, constraints = Path(name) / "build.in", Path(name) / "constraints.txt"
        source.write_text("\n".join(required))
        constraints.write_text("\n".join(pin for pin in packages if pin.split("==")[0] not in own))
        options = [f"--find-links={STUB}", f"--constraint={constraints}", *more]
        compile_(uv, source, REQUIREMENTS / "build.txt", options)


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout  # noqa: S603


def main(uv: str, *more: str) -> None:
    """``more`` is --upgrade, or nothing."""
    pins: list[str] = tomllib.loads(PYPROJECT.read_text())["tool"]["uv"]["constraint-dependencies"]
    packages = of_the_pins(exported(uv), pins)
    (REQUIREMENTS / "packages.txt").write_text(written(packages))
    compile_build(uv, packages, more)
    for source in sorted(REQUIREMENTS.glob("*.in")):
        compile_(uv, source, source.with_suffix(".txt"), more)
    print(f"hashes of {len(packages)} packages written to {REQUIREMENTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
