"""The files that `make reference` writes, and the scripts that generate schemas and versions."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import schemas
import version
import yaml
from rendering import CHARTS

ROOT = CHARTS.parent
CURRENT = version.project_version(ROOT)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the charts that a test may change."""
    shutil.copytree(CHARTS, tmp_path / "charts", symlinks=True)
    return tmp_path / "charts"


@pytest.mark.parametrize("script", ["sagemaker_values.py", "schemas.py", "stage_manifests.py", "version.py"])
def test_the_generated_files_are_up_to_date(script: str) -> None:
    program = ROOT / "packaging" / script
    result = subprocess.run([sys.executable, program, "--check"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_every_chart_has_a_schema_of_its_own_or_links_to_one() -> None:
    generated = {chart.name for chart in schemas.sources(CHARTS)}
    linked = {file.parent.name for file in CHARTS.glob(f"*/{schemas.TARGET}") if file.is_symlink()}
    assert generated | linked == {file.parent.name for file in CHARTS.glob("*/Chart.yaml")}
    assert not generated & linked


def test_a_parent_s_schema_includes_those_of_its_sub_charts() -> None:
    parent = schemas.schema(CHARTS / "maskrcnn")
    for name in ("jupyter", "tensorboard"):
        own = schemas.schema(CHARTS / name)
        section = parent["properties"][name]
        assert section["additionalProperties"] is False
        assert section["properties"] == {**own["properties"], "global": section["properties"]["global"]}
        assert own["$defs"].items() <= parent["$defs"].items()


def test_a_schema_contains_only_the_definitions_that_it_refers_to() -> None:
    assert "flag" in schemas.schema(CHARTS / "maskrcnn")["$defs"]
    assert "flag" not in schemas.schema(CHARTS / "tensorboard")["$defs"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#/$defs/port", "#/$defs/prot", r"there is no \$defs/prot"),
        ("title:", "$defs: {port: {type: integer}}\ntitle:", r"\$defs/port is also defined in common"),
    ],
)
def test_a_definition_that_is_missing_or_defined_twice_is_an_error(
    copy: Path, old: str, new: str, message: str
) -> None:
    source = copy / "jupyter" / schemas.SOURCE
    source.write_text(source.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        schemas.schema(copy / "jupyter")


def test_what_fits_a_line_is_written_on_one_line() -> None:
    value = {"short": {"type": "string"}, "long": {"description": "x" * 100, "enum": ["a", "b"]}}
    lines = schemas.text(value).splitlines()
    assert '  "short": { "type": "string" },'.replace("{ ", "{").replace(" }", "}") in lines
    assert '    "enum": ["a", "b"]' in lines
    assert json.loads(schemas.text(value)) == value


def test_a_new_version_reaches_every_file_that_names_it(tmp_path: Path) -> None:
    for file in [*version.files(ROOT), ROOT / "pyproject.toml"]:
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.read_text().replace(f'\nversion = "{CURRENT}"', '\nversion = "99.2.7"'))
    changed = version.files(tmp_path)
    assert {file.relative_to(tmp_path) for file in changed} >= {
        Path("charts/maskrcnn/Chart.yaml"),
        Path("container-viz/Dockerfile"),
        Path("containers/train/Dockerfile"),
        Path("docs/serving.md"),
    }
    assert [file for file, text in changed.items() if re.search(rf"\b{re.escape(CURRENT)}\b", text)] == []


def test_charts_and_their_dependencies_have_the_version_of_the_wheel() -> None:
    for file in CHARTS.glob("*/Chart.yaml"):
        chart = yaml.safe_load(file.read_text())
        versions = {
            chart["version"],
            *(dependency["version"] for dependency in chart.get("dependencies", ())),
        }
        assert versions == {CURRENT}
