"""Values files and flags are read as Helm reads them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mrc_values.values import Flag, load
from values_files import BASE, CHART

PROGRAM = Path(sys.executable).with_name("mrc-values")
ROOT = CHART.parents[1]


def validate(directory: Path, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    (directory / "a.yaml").write_text(BASE)
    (directory / "b.yaml").write_text("maskrcnn: {gpus: 20}\n")
    command = [PROGRAM, "validate", *arguments]
    return subprocess.run(command, cwd=directory, input=stdin, capture_output=True, text=True, timeout=60)


def test_files_can_be_separated_by_commas(tmp_path: Path) -> None:
    done = validate(tmp_path, CHART, "-f", "a.yaml,b.yaml")
    assert done.stdout.startswith("b.yaml:1:18: error MRC014 maskrcnn.gpus: 20 is not a multiple of 8")


def test_a_dash_reads_stdin(tmp_path: Path) -> None:
    done = validate(tmp_path, CHART, "-f", "a.yaml", "-f", "-", stdin="maskrcnn:\n  gpus: 20\n")
    assert done.stdout.startswith("-:2:9: error MRC014 maskrcnn.gpus: 20 is not a multiple of 8")


def test_a_values_file_can_be_given_in_place_of_the_chart(tmp_path: Path) -> None:
    (tmp_path / "charts").symlink_to(CHART.parent)
    done = validate(tmp_path, "b.yaml", "-f", "a.yaml")
    assert done.stdout.startswith("b.yaml:1:18: error MRC014")
    assert done.stderr == "charts/maskrcnn: 1 error\n"


@pytest.mark.parametrize(
    ("option", "expression", "value"),
    [
        ("--set", "maskrcnn.run=7", 7),
        ("--set-string", "maskrcnn.run=7", "7"),
        ("--set-json", 'maskrcnn.run={"a": [1, "b"]}', {"a": [1, "b"]}),
    ],
)
def test_a_flag_sets_the_value_that_helm_would_set(option: str, expression: str, value: Any) -> None:
    loaded, findings = load(CHART, [], [Flag(option, expression)])
    assert (loaded.get("maskrcnn.run"), findings) == (value, [])


def test_a_flag_can_read_a_value_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "settings.txt").write_text("TRAIN.WARMUP=soon\n")
    done = validate(tmp_path, CHART, "-f", "a.yaml", "--set-file", "maskrcnn.extra_config=settings.txt")
    assert done.stdout.startswith(
        "--set-file maskrcnn.extra_config=settings.txt: error MRC061 maskrcnn.extra_config: TRAIN.WARMUP"
    )


def test_flags_take_precedence_in_the_same_order_as_in_helm(tmp_path: Path) -> None:
    done = validate(
        tmp_path, CHART, "-f", "a.yaml", "--set-string", "maskrcnn.gpus=16", "--set", "maskrcnn.gpus=20"
    )
    assert done.stdout.startswith('--set-string maskrcnn.gpus=16: error MRC004 maskrcnn.gpus: "16" is not an')


def test_a_malformed_flag_is_one_line_with_an_example(tmp_path: Path) -> None:
    done = validate(tmp_path, CHART, "--set-json", "maskrcnn.env={")
    assert done.returncode == 2
    assert done.stderr.startswith("mrc-values: --set-json maskrcnn.env={: ")
    assert "such as --set-json maskrcnn.env=" in done.stderr
