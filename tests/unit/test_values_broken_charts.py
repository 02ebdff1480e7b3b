"""Charts and sections of sub-charts that Helm cannot read."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mrc_values.check import check
from values_files import BASE, CHART, checked, lines

PROGRAM = Path(sys.executable).with_name("mrc-values")
CHARTS = CHART.parent
NAMES = sorted(file.parent.name for file in CHARTS.glob("*/Chart.yaml"))
NOT_A_MAPPING = "is not a mapping, which Helm ignores or rejects."


@pytest.mark.parametrize("switch", ["false", "true"])
def test_a_switch_in_place_of_a_subchart_is_a_finding_with_the_right_switch(
    switch: str, tmp_path: Path
) -> None:
    assert lines(checked(tmp_path, f"tensorboard: {switch}\n")) == [
        f"values.yaml:1:14: error MRC004 tensorboard: {switch} {NOT_A_MAPPING} "
        f"Write tensorboard: {{enabled: {switch}}}."
    ]


def test_a_finding_about_a_switch_set_by_a_flag_names_the_flag(tmp_path: Path) -> None:
    assert lines(checked(tmp_path, "", "jupyter=false")) == [
        f"--set jupyter=false: error MRC004 jupyter: false {NOT_A_MAPPING} Write jupyter: {{enabled: false}}."
    ]


@pytest.mark.parametrize("value", ["[1]", "'no'", "7", "1.5"])
def test_any_value_in_place_of_a_subchart_is_a_finding(value: str, tmp_path: Path) -> None:
    (finding,) = checked(tmp_path, f"jupyter: {value}\n").findings
    assert (finding.rule, finding.fix) == ("MRC004", "Write it as `key: value` lines, or remove it.")


@pytest.mark.parametrize("command", [["validate"], ["plan", "--node-group", "p4d", "--nodes", "2"]])
def test_no_command_ends_with_a_traceback(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(f"{BASE}tensorboard: false\n")
    done = subprocess.run(
        [PROGRAM, *command, CHART, "-f", "values.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


@pytest.fixture
def without_links(tmp_path: Path) -> Path:
    """The charts as checked out without symbolic links: each link is a text file with its target."""
    shutil.copytree(CHARTS, tmp_path / "charts", symlinks=True)
    for path in [path for path in (tmp_path / "charts").rglob("*") if path.is_symlink()]:
        target = str(path.readlink())
        path.unlink()
        path.write_text(target)
    return tmp_path / "charts"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["validate", "new", "node-groups"])
def test_a_checkout_without_symbolic_links_is_one_line_with_the_fix(
    name: str, command: str, without_links: Path
) -> None:
    arguments = ["mine", "--from", name] if command == "new" else [name]
    done = subprocess.run([PROGRAM, command, *arguments], cwd=without_links, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"mrc-values: {name}/" in done.stderr
    assert ": this must be a symbolic link to ../" in done.stderr
    assert "git config core.symlinks true" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_chart_that_was_copied_without_the_others_is_one_line_with_the_fix(tmp_path: Path) -> None:
    shutil.copytree(CHARTS / "jupyter", tmp_path / "jupyter", symlinks=True)
    done = subprocess.run([PROGRAM, "validate", "jupyter"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the link to ../" in done.stderr and "is broken. Copy the whole directory of charts" in done.stderr


def test_a_small_text_file_is_not_mistaken_for_a_link(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    chart.mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: chart\nversion: 1.0.0\n")
    (chart / "README").write_text("../nowhere")
    assert check(chart).findings == []
