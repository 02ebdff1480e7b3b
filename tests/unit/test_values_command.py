"""The mrc-values program: output, exit codes, imported packages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from values_files import CHART

PROGRAM = Path(sys.executable).with_name("mrc-values")
VALID = ["--set", "maskrcnn.image=a/b:1", "--set", "maskrcnn.node_group=p4d"]


def call(*arguments: str | Path, directory: Path = CHART) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], cwd=directory, capture_output=True, text=True, timeout=60)


def test_valid_values_have_no_findings() -> None:
    result = call("validate", *VALID)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", ".: fine\n")


def test_findings_go_to_stdout_and_the_count_to_stderr() -> None:
    result = call("validate", *VALID, "--set", "maskrcnn.gpus=20", "--set", "maskrcnn.nccl_min_rings=8")
    assert result.returncode == 1
    assert [line.split()[3] for line in result.stdout.splitlines()] == ["MRC014", "MRC072"]
    assert result.stderr == ".: 1 error, 1 info\n"


def test_a_values_file_in_place_of_the_chart_is_checked_against_the_default_chart(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("maskrcnn:\n  gpus: 20\n")
    result = call("validate", file, *VALID)
    assert result.stdout.startswith(f"{file}:2:9: error MRC014 maskrcnn.gpus: ")
    assert result.stderr == ".: 1 error\n"


def test_warnings_do_not_change_the_exit_code() -> None:
    result = call("validate", *VALID, "--set", "global.source_cidr=0.0.0.0/0")
    assert (result.returncode, result.stderr) == (0, ".: 1 warning\n")


def test_json_is_a_list_of_findings(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("maskrcnn:\n  gpus: 20\n")
    result = call("validate", CHART, "-f", "values.yaml", *VALID, "--format", "json", directory=tmp_path)
    assert json.loads(result.stdout) == [
        {
            "file": "values.yaml",
            "line": 2,
            "column": 9,
            "severity": "error",
            "rule": "MRC014",
            "value": "maskrcnn.gpus",
            "message": "20 is not a multiple of 8, the GPUs of a p4d node.",
            "fix": "Set gpus to 16 or 24.",
        }
    ]


def test_json_without_findings_is_an_empty_list() -> None:
    assert json.loads(call("validate", *VALID, "--format", "json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["validate", "-f", "none.yaml"], "mrc-values: none.yaml: no such file or directory"),
        (["validate", "-f", "templates"], "mrc-values: templates: is a directory"),
        (
            ["validate", "templates"],
            "mrc-values: templates: not a chart (no Chart.yaml). Give the directory of a chart.",
        ),
        (
            ["validate", "--set", "gpus"],
            'mrc-values: --set gpus: key "gpus" has no value. Write --set name=value, ',
        ),
        (["validate", "--format", "xml"], "Error: Invalid value for '--format': "),
        (["explain", "MRC41"], "mrc-values: MRC41: no such rule. mrc-values rules lists all of them."),
        (
            ["node-groups", "templates"],
            "mrc-values: templates: no node groups (files/common/node-groups.yaml is missing).",
        ),
        (["valdate"], "Error: No such command 'valdate'."),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], line: str) -> None:
    result = call(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith(line)


def test_the_default_chart_is_the_working_directory_or_charts_maskrcnn() -> None:
    assert call("validate", *VALID, directory=CHART.parents[1]).stderr == "charts/maskrcnn: fine\n"
    assert call("validate", *VALID, directory=CHART).stderr == ".: fine\n"


def test_explain_gives_reason_and_examples() -> None:
    text = call("explain", "mrc014").stdout
    assert text.startswith(
        "MRC014 (error): gpus is a multiple of gpus_per_node\n\nEvery worker pod runs gpus_per_node ranks"
    )
    assert "Fails:\n  maskrcnn: {node_group: p4d, gpus: 20," in text
    assert "Passes:\n  maskrcnn: {node_group: p4d, gpus: 24," in text


def test_node_groups_shows_the_charts_catalogue() -> None:
    rows = [line.split() for line in call("node-groups").stdout.splitlines()]
    assert next(row for row in rows if row[0] == "p4d")[:4] == ["p4d", "p4d.24xlarge", "8", "A100"]


def test_helms_notices_about_linked_subcharts_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "Chart.yaml").write_text("apiVersion: v2\nname: server\nversion: 1.0.0\n")
    (tmp_path / "chart" / "charts").mkdir(parents=True)
    (tmp_path / "chart" / "charts" / "server").symlink_to(tmp_path / "server")
    (tmp_path / "chart" / "Chart.yaml").write_text(
        "apiVersion: v2\nname: chart\nversion: 1.0.0\ndependencies: [{name: server, version: 1.0.0}]\n"
    )
    assert call("validate", "chart", directory=tmp_path).stderr == "chart: fine\n"


def test_validate_imports_no_large_package() -> None:
    program = (
        "import sys; from mrc_values.cli import app\n"
        f"try: app({['validate', str(CHART), *VALID]})\n"
        "except SystemExit: print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    assert "helm_python" in loaded
    for large in (
        "jsonschema",
        "referencing",
        "tensorflow",
        "numpy",
        "kubernetes_validate",
        "kubernetes'",
        "boto3",
        "rich",
        "lark",
        "psutil",
    ):
        assert f"'{large.rstrip(chr(39))}'" not in loaded
