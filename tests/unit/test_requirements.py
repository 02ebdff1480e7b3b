"""The hashes of what make and the images install, and the places that use them."""

import re
import tomllib
from pathlib import Path

import hashes
import pytest

ROOT = hashes.ROOT
FILES = sorted(hashes.REQUIREMENTS.glob("*.txt"))
DOCKERFILES = sorted([*ROOT.glob("container*/**/Dockerfile"), *ROOT.glob("stage-data/Dockerfile")])
SCRIPTS = [*DOCKERFILES, ROOT / "Makefile", ROOT / "packaging/cuda/toolkit", ROOT / "packaging/efa/install"]
PROJECT = tomllib.loads(hashes.PYPROJECT.read_text())


def names(file: str) -> set[str]:
    return {pin.split("==")[0] for pin in hashes.parsed((hashes.REQUIREMENTS / file).read_text())}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_has_pins_and_hashes_and_nothing_else(file: Path) -> None:
    """So it names no registry either."""
    packages = hashes.parsed(file.read_text())
    assert packages and all(packages.values())
    assert all(re.fullmatch("[0-9a-f]{64}", value) for values in packages.values() for value in values)
    assert hashes.written(packages) == file.read_text()


def test_the_packages_are_the_pins_of_pyproject() -> None:
    pins = PROJECT["tool"]["uv"]["constraint-dependencies"]
    packages = hashes.parsed((hashes.REQUIREMENTS / "packages.txt").read_text())
    assert set(packages) == set(pins), "run make hashes"


def test_builds_have_everything_that_pyproject_names_for_them() -> None:
    required = hashes.build_requirements()
    assert {re.split(r"[<>=]", requirement)[0] for requirement in required} <= names("build.txt"), (
        "run make hashes"
    )
    assert all("==" in requirement for requirement in PROJECT["build-system"]["requires"])


def test_each_file_with_inputs_has_them() -> None:
    for source in hashes.REQUIREMENTS.glob("*.in"):
        pins = set(hashes.parsed(source.with_suffix(".txt").read_text()))
        assert set(source.read_text().split()) <= {pin.partition(" ;")[0] for pin in pins}, source.name


def test_horovod_is_linked_with_the_cuda_that_is_installed() -> None:
    installed = set(hashes.parsed((hashes.REQUIREMENTS / "packages.txt").read_text()))
    linked = (hashes.REQUIREMENTS / "cuda-12.9.in").read_text().split()
    assert {each for each in linked if "cccl" not in each} <= installed, (
        "change cuda-12.9.in, and run make hashes"
    )


def test_versions_that_are_not_the_pinned_ones_are_reported() -> None:
    with pytest.raises(ValueError, match=r"one==2: not the pins of pyproject.toml"):
        hashes.of_the_pins({"one==1": {"a"}, "one==2": {"b"}}, ["one==1"])


def test_a_line_that_is_no_pin_is_reported() -> None:
    with pytest.raises(ValueError, match="neither a pin nor a hash"):
        hashes.parsed("numpy>=2\n")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.relative_to(ROOT)))
def test_every_installation_checks_hashes(script: Path) -> None:
    """Only the project's own wheel and checkout have no hash; nothing else is installed with them."""
    text = re.sub(r"^#.*$|\\\n\s*", "", script.read_text(), flags=re.MULTILINE)
    commands = re.findall(r"(?:pip install|uv sync|uv build|uv tool|uvx|pip download)[^\n;|&]*", text)
    own = ("/opt/wheel/*.whl", "--editable .")
    unchecked = [
        command for command in commands if "--require-hashes" not in command and "$(HASHED)" not in command
    ]
    assert [
        command for command in unchecked if "--no-deps" not in command or not command.rstrip().endswith(own)
    ] == []


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_base_image_that_is_not_ours_is_named_by_its_digest(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    (default,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    assert re.search(r"@sha256:[0-9a-f]{64}$", default) or default.startswith("mask-rcnn:")
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert set(stages) <= {"${BASE_IMAGE}", "libraries"}
