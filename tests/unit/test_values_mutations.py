"""200 values files with one mistake each: reported on its line, or harmless for a reason given here."""

import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_cli.findings import Severity
from mrc_values.check import check
from mutations import CHARTS, DIRECTORY, FILES, KINDS, Mutation, lines_of, sample, values_of

PROGRAM = Path(sys.executable).with_name("mrc-values")
COUNT, SEED = 200, 6

HARMLESS = {
    ("missing", "enabled"): "only the condition of a parent chart reads it",
    ("swapped", "maskrcnn.name"): "name and run are chosen by the user",
    ("swapped", "maskrcnn.gpus_per_node"): "8 workers with 2 GPUs use as many GPUs as 2 with 8",
    ("swapped", "maskrcnn.memory"): "a warning, MRC019: shared memory is bounded by the memory as well",
    ("swapped", "maskrcnn.mode_fpn"): "another model",
    ("swapped", "maskrcnn.eval_period_in_epochs"): "both are plausible counts",
    ("swapped", "maskrcnn.tp_16"): "flags",
    ("swapped", "maskrcnn.fi_efa_fork_safe"): "flags",
    ("swapped", "maskrcnn.run_as_user"): "ids",
    ("swapped", "maskrcnn.active_deadline_seconds"): "both are plausible numbers of seconds",
    ("swapped", "maskrcnn.run_as_group"): "3 may be a group ID and 100 a backoff limit",
    ("swapped", "jupyter.token_secret"): "names are chosen by the user; the preflight looks for the secrets",
    ("swapped", "jupyter.run_as_user"): "ids",
    ("swapped", "tensorboard.run_as_user"): "ids",
    ("swapped", "tensorboard.run_as_group"): "upstream_port has no meaning any more",
    ("out of range", "maskrcnn.working_dir"): "any directory of the image",
    ("out of range", "maskrcnn.data_dir"): "file names may have blanks and exclamation marks",
    ("out of range", "maskrcnn.backbone_weights"): "file names may have blanks and exclamation marks",
    ("out of range", "tensorboard.log_dir"): "file names may have blanks and exclamation marks",
    ("out of range", "maskrcnn.lr_epoch_schedule"): "a blank between pairs",
    ("out of range", "jupyter.log_dir"): "has no meaning any more",
}
"""Mistakes that nobody can see in a values file, or that change nothing."""

ELSEWHERE = {
    "global.source_cidr": "jupyter.service.type",
    "maskrcnn.data_fs": "maskrcnn.data_pvc",
    "jupyter.data_fs": "jupyter.data_pvc",
    "maskrcnn.gpu_nodes": "maskrcnn.gpus",
}
"""Values that may be empty, and the ones that then are wrong."""

MUTATIONS = sample(COUNT, SEED)


@cache
def defaults(chart: str) -> Any:
    """A chart's values.yaml with those of its sub-charts."""
    directory = CHARTS / chart
    subcharts = {file.parent.name: file for file in directory.glob("charts/*/values.yaml")}
    values = {name: yaml.safe_load(file.read_text()) for name, file in subcharts.items()}
    for name, section in yaml.safe_load((directory / "values.yaml").read_text()).items():
        values[name] = {**values.get(name, {}), **section}
    return values


def harmless(mutation: Mutation) -> str:
    """Why the values are valid all the same; empty when an error is expected."""
    value = defaults(mutation.chart)
    for part in mutation.path:
        value = value.get(part) if isinstance(value, dict) else None
    if mutation.kind == "missing" and value not in (None, ""):
        return "the chart's default is used"
    schema = values_of(mutation.chart)[mutation.path]
    nothing = None in schema.get("enum", []) or "null" in schema.get("type", [])
    if mutation.kind == "missing" and nothing and mutation.path[-1] != "image":
        return "the schema allows null"
    return HARMLESS.get((mutation.kind, ".".join(mutation.path)), "")


def allowed_lines(mutation: Mutation) -> set[int]:
    """Lines that may be reported; for a missing value also those of its section or dependents."""
    lines, name = set(mutation.lines), ".".join(mutation.path)
    if mutation.kind == "missing":
        content = mutation.content.splitlines()
        if name in ELSEWHERE:
            key = f"{ELSEWHERE[name].rpartition('.')[2]}:"
            lines |= {number for number, line in enumerate(content, 1) if line.strip().startswith(key)}
        lines |= {
            content.index(f"{'  ' * depth}{part}:") + 1 for depth, part in enumerate(mutation.path[:-1])
        }
    return lines


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.chart}:{'.'.join(m.path)}:{m.kind}")
def test_a_mistake_is_reported_on_its_line_or_is_harmless(mutation: Mutation, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(mutation.content)
    errors = [f for f in check(CHARTS / mutation.chart, [file]).findings if f.severity is Severity.ERROR]
    if not errors:
        assert harmless(mutation), f"{mutation.label} is not found"
        return
    assert {Path(finding.position.file) for finding in errors} == {file}
    assert {finding.position.line for finding in errors} <= allowed_lines(mutation)
    assert all("\n" not in str(finding) for finding in errors)


@pytest.mark.parametrize(
    "mutation", [m for m in MUTATIONS if not harmless(m)][:: COUNT // 8], ids=lambda m: m.label
)
def test_the_program_exits_with_1_and_names_the_line(mutation: Mutation, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(mutation.content)
    command: list[str | Path] = [PROGRAM, "validate", CHARTS / mutation.chart, "-f", "values.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    places = [line.split(":")[:2] for line in done.stdout.splitlines() if " error MRC" in line]
    assert places and {(file, int(line)) for file, line in places} <= {
        ("values.yaml", line) for line in allowed_lines(mutation)
    }
    assert "Traceback" not in done.stdout + done.stderr


def test_the_sample_has_every_kind_equally_often_and_every_value() -> None:
    assert Counter(mutation.kind for mutation in MUTATIONS) == dict.fromkeys(KINDS, COUNT // len(KINDS))
    assert len({(mutation.chart, mutation.content) for mutation in MUTATIONS}) == COUNT
    everything = {(FILES[chart], path) for chart in FILES for path in values_of(chart)}
    assert {(FILES[mutation.chart], mutation.path) for mutation in MUTATIONS} == everything
    assert {mutation.chart for mutation in MUTATIONS} == set(FILES)


def test_most_mistakes_are_errors() -> None:
    assert sum(not harmless(mutation) for mutation in MUTATIONS) > 0.75 * COUNT


@pytest.mark.parametrize("chart", FILES)
def test_the_file_without_a_mistake_has_every_value_and_no_error(chart: str) -> None:
    assert set(lines_of(chart)) == set(values_of(chart))
    findings = check(CHARTS / chart, [DIRECTORY / FILES[chart]]).findings
    assert [finding for finding in findings if finding.severity is Severity.ERROR] == []
