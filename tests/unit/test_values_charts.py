"""Validation of every chart. Rules about values that a chart does not have report nothing."""

from pathlib import Path

import pytest
from mrc_cli.findings import Severity
from mrc_values.check import check
from mrc_values.rules import RULES, Rule
from values_files import CHART, lines

CHARTS = CHART.parent
NAMES = sorted(file.parent.name for file in CHARTS.glob("*/Chart.yaml"))
WITHOUT_TRAINING = [name for name in NAMES if not name.startswith("maskrcnn")]
REGISTRY = "registry.example.com"


def findings_of(chart: str, directory: Path, text: str) -> list[str]:
    """Severity, rule and value of each finding for these values, infos excluded."""
    file = directory / "values.yaml"
    file.write_text(text)
    findings = check(CHARTS / chart, [file]).findings
    return [str(f).split(": ")[1] for f in findings if f.severity is not Severity.INFO]


@pytest.mark.parametrize("chart", NAMES)
def test_the_defaults_have_no_error_except_a_missing_image_or_required_value(chart: str) -> None:
    errors = [f for f in check(CHARTS / chart).findings if f.severity is Severity.ERROR]
    assert {f.rule for f in errors} <= {"MRC020", "MRC006"}
    assert all("is not set" in f.message for f in errors)
    assert all(Path(f.position.file).parent == CHARTS / chart for f in errors)


@pytest.mark.parametrize("chart", WITHOUT_TRAINING)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_values_of_a_training_job_do_not_crash_the_check_of_another_chart(
    chart: str, rule: Rule, tmp_path: Path
) -> None:
    (tmp_path / "values.yaml").write_text(rule.failing)
    check(CHARTS / chart, [tmp_path / "values.yaml"])


@pytest.mark.parametrize(
    ("chart", "text", "expected"),
    [
        ("jupyter", "{}", ["error MRC020 image"]),
        ("jupyter", f"image: {REGISTRY}/Viz:1", ["error MRC022 image"]),
        ("jupyter", f"image: {REGISTRY}/viz", ["warning MRC021 image"]),
        ("jupyter", f"image: {REGISTRY}/viz:1\ngpu: 1", ["error MRC003 gpu"]),
        ("jupyter", f"image: {REGISTRY}/viz:1\nresources: {{limits: {{memory: 8GB}}}}",
         ["error MRC041 resources.limits.memory"]),
        ("tensorboard", "image: https://example.com/a:1", ["error MRC022 image"]),
        ("tensorboard", "resources: {requests: {memory: 16Gi}}", ["error MRC042 resources.requests.memory"]),
        ("tensorboard", "global: {source_cidr: 0.0.0.0/0}", ["warning MRC050 global.source_cidr"]),
        ("mpijob", "operator: {image: 'mpioperator/mpi-operator:latest'}", ["warning MRC021 operator.image"]),
        ("mpijob", "operator: {enabled: false, image: 'Mpi Operator'}", ["error MRC009 operator.image"]),
        ("mpijob", "operator: {resources: {requests: {cpu: 1 core}}}",
         ["error MRC041 operator.resources.requests.cpu"]),
        ("maskrcnn-optimized", "{}", ["error MRC020 maskrcnn.image"]),
        ("maskrcnn-optimized", "maskrcnn: {image: 'a/b:1', gpus: 20}", ["error MRC014 maskrcnn.gpus"]),
        (
            "maskrcnn-optimized",
            "maskrcnn: {image: 'a/b:1', node_group: p3dn, steps_per_epoch: 500, lr_schedule: 1x}",
            ["warning MRC067 maskrcnn.steps_per_epoch", "warning MRC067 maskrcnn.lr_schedule"],
        ),
    ],
)  # fmt: skip
def test_findings_of_a_chart_installed_alone(
    chart: str, text: str, expected: list[str], tmp_path: Path
) -> None:
    assert findings_of(chart, tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jupyter: {enabled: true}", ["error MRC020 jupyter.image"]),
        ("jupyter: {enabled: false}", []),
        ("jupyter: {enabled: true, image: 'a/B:1'}", ["error MRC022 jupyter.image"]),
        ("jupyter: {enabled: false, image: 'a/B:1'}", []),
        ("tensorboard: {image: 'a/b'}", ["warning MRC021 tensorboard.image"]),
        ("jupyter: {enabled: false, service: {type: NodePort}}", ["error MRC004 jupyter.service.type"]),
        (
            "tensorboard: {resources: {limits: {cpu: many}}}",
            ["error MRC041 tensorboard.resources.limits.cpu"],
        ),
        ("tensorboard: {service: {type: LoadBalancer}}", ["error MRC006 tensorboard.service.type"]),
    ],
)
@pytest.mark.parametrize("chart", ["maskrcnn", "maskrcnn-optimized"])
def test_findings_of_a_sub_chart(chart: str, text: str, expected: list[str], tmp_path: Path) -> None:
    job = "maskrcnn: {image: 'a/b:1', node_group: p4d}\n"
    assert findings_of(chart, tmp_path, job + text) == expected


def test_the_optimized_tutorials_learning_rate_is_a_warning_only_with_our_trainer(
    tmp_path: Path,
) -> None:
    text = (CHARTS.parent / "tests" / "charts" / "values" / "tutorial-optimized.yaml").read_text()
    open_to_all = "warning MRC050 global.source_cidr"
    assert findings_of("maskrcnn-optimized", tmp_path, text) == [open_to_all]
    ours = "".join(line for line in text.splitlines(True) if "train_script" not in line)
    assert findings_of("maskrcnn-optimized", tmp_path, ours) == [
        open_to_all,
        "warning MRC080 maskrcnn.base_lr",
    ]


def test_a_missing_image_of_a_sub_chart_does_not_hide_other_findings(tmp_path: Path) -> None:
    text = "maskrcnn: {image: 'a/b:1', node_group: p4d}\njupyter: {enabled: true, node_group: p9}"
    assert findings_of("maskrcnn", tmp_path, text) == [
        "error MRC020 jupyter.image",
        "error MRC006 jupyter.node_group",
    ]


def test_a_missing_image_is_placed_in_the_section_of_its_chart(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("maskrcnn:\n  image: a/b:1\n  node_group: p4d\njupyter:\n  enabled: true\n")
    assert lines(check(CHART, [file])) == [
        "values.yaml:4:1: error MRC020 jupyter.image: is not set. "
        "Set it to the image that you built, as <registry>/<name>:<tag>."
    ]
