"""Validation of a user's chart that has charts of the suite as dependencies."""

import shutil
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from mrc_cli.findings import Severity
from mrc_values import check, dependencies
from values_files import CHART

CHARTS = CHART.parent
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
FOREIGN = {"imageRegistry": "registry.example.com", "storageClass": "gp3"}
TRAINING = {"image": "registry.example.com/trainer:1", "node_group": "p4d"}


def umbrella(
    directory: Path, values: dict[str, Any], *charts: tuple[str, str], packaged: bool = False
) -> Path:
    """A chart with dependencies, as (chart, alias), each with the condition <alias>.enabled."""
    (directory / "charts").mkdir()
    for chart in {chart for chart, _ in charts}:
        if packaged:
            with helm_python.Chart.load(CHARTS / chart) as loaded:
                loaded.save(directory / "charts")
        else:
            (directory / "charts" / chart).symlink_to(CHARTS / chart)
    entries = [
        {"name": chart, "version": VERSION, "alias": alias, "condition": f"{alias}.enabled"}
        for chart, alias in charts
    ]
    chart_yaml = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": entries}
    (directory / "Chart.yaml").write_text(yaml.safe_dump(chart_yaml))
    (directory / "values.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return directory


def findings_of(chart: Path, text: str = "", *sets: str) -> list[str]:
    """Findings for these values, infos excluded; positions without directories."""
    (chart / "my.yaml").write_text(text)
    findings = check.check(chart, [chart / "my.yaml"] if text else [], sets).findings
    shown = (str(finding) for finding in findings if finding.severity is not Severity.INFO)
    return [line.replace(f"{chart}/", "") for line in shown]


def test_correct_values_with_an_alias_and_foreign_globals_have_no_findings(tmp_path: Path) -> None:
    chart = umbrella(
        tmp_path,
        {
            "global": FOREIGN,
            "training": {"enabled": True, "maskrcnn": TRAINING},
            "lab": {"enabled": True, "image": "registry.example.com/lab:1"},
            "mpijob": {"enabled": True},
        },
        ("maskrcnn", "training"),
        ("jupyter", "lab"),
        ("mpijob", "mpijob"),
    )
    result = check.check(chart)
    assert result.findings == []
    assert any(path.startswith("platform/charts/training/") for path in result.rendered)


@pytest.mark.parametrize("packaged", [False, True], ids=["linked", "packaged"])
def test_each_alias_is_checked_with_its_own_values(
    tmp_path: Path, packaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    charts = (("maskrcnn", "first"), ("maskrcnn", "second"))
    (tmp_path / "platform").mkdir()
    sections = {name: {"enabled": True, "maskrcnn": TRAINING} for _, name in charts}
    chart = umbrella(tmp_path / "platform", sections, *charts, packaged=packaged)
    assert findings_of(chart, "second:\n  maskrcnn:\n    gpus: 20\n    gpsu: 1\n") == [
        "my.yaml:3:11: error MRC014 second.maskrcnn.gpus: 20 is not a multiple of 8, the GPUs of a p4d node. "
        "Set gpus to 16 or 24.",
        "my.yaml:4:5: error MRC003 second.maskrcnn.gpsu: unknown key in maskrcnn. Did you mean gpus?",
    ]


def test_names_in_messages_are_those_of_the_umbrella(tmp_path: Path) -> None:
    training = {"maskrcnn": {**TRAINING, "hugepages": "2Gi", "node_group": ""}}
    chart = umbrella(tmp_path, {"training": training}, ("maskrcnn", "training"))
    (line,) = findings_of(chart)
    assert line.startswith("values.yaml:4:16: error MRC006 training.maskrcnn.hugepages: ") or (
        "error MRC" in line and "Set training.maskrcnn.memory." in line
    )


def test_findings_are_in_the_umbrellas_own_values_where_they_are_set(tmp_path: Path) -> None:
    chart = umbrella(tmp_path, {"training": {"maskrcnn": {**TRAINING, "gpus": 20}}}, ("maskrcnn", "training"))
    assert [line.partition(" ")[0] for line in findings_of(chart)] == ["values.yaml:5:11:"]
    (line,) = findings_of(chart, "", "training.maskrcnn.gpus=12")
    assert line.startswith("--set training.maskrcnn.gpus=12: error MRC014 training.maskrcnn.gpus: 12 is not")


def test_a_missing_image_is_reported_with_the_other_mistakes(tmp_path: Path) -> None:
    chart = umbrella(tmp_path, {"lab": {"enabled": True}}, ("maskrcnn", "training"), ("jupyter", "lab"))
    rules = [line.split(" ", 1)[1].partition(": ")[0] for line in findings_of(chart, "lab: {gpus: -1}")]
    assert sorted(rules) == [
        "error MRC004 lab.gpus",
        "error MRC020 lab.image",
        "error MRC020 training.maskrcnn.image",
    ]


def test_a_disabled_dependency_has_no_findings_of_rules_but_its_keys_are_checked(tmp_path: Path) -> None:
    values = {"training": {"enabled": False, "maskrcnn": {"gpus": 20}}}
    chart = umbrella(tmp_path, values, ("maskrcnn", "training"))
    assert findings_of(chart) == []
    assert len(findings_of(chart, "training: {maskrcnn: {gpsu: 1}}")) == 1


def test_a_shared_global_value_is_reported_once(tmp_path: Path) -> None:
    sections = {name: {"enabled": True, "maskrcnn": TRAINING} for name in ("first", "second")}
    chart = umbrella(tmp_path, sections, ("maskrcnn", "first"), ("maskrcnn", "second"))
    (line,) = findings_of(chart, "global:\n  source_cidr: 203.0.113.7/24\n")
    assert line.startswith("my.yaml:2:16: error MRC051 global.source_cidr: 203.0.113.7/24 is not a network.")


def test_a_switch_in_place_of_a_dependency_is_a_finding(tmp_path: Path) -> None:
    chart = umbrella(tmp_path, {"training": {"maskrcnn": TRAINING}}, ("maskrcnn", "training"))
    (line,) = findings_of(chart, "training: false\n")
    assert "error MRC004 training: false is not a mapping" in line


def test_rules_do_not_apply_to_charts_of_others(tmp_path: Path) -> None:
    values = {
        "cache": {"image": "", "service": {"type": "LoadBalancer"}, "gpus": 3},
        "maskrcnn": {"maskrcnn": TRAINING},
    }
    chart = umbrella(tmp_path, values, ("maskrcnn", "maskrcnn"))
    other = chart / "charts" / "cache"
    other.mkdir()
    (other / "Chart.yaml").write_text("apiVersion: v2\nname: cache\nversion: 1.0.0\n")
    (other / "values.yaml").write_text("image: ''\nmaskrcnn: {image: ''}\n")
    assert findings_of(chart) == []


@pytest.mark.parametrize(
    ("values", "enabled"),
    [
        ({}, True),
        ({"a": {"enabled": False}}, False),
        ({"a": {"enabled": "no"}, "b": {"on": False}}, False),
        ({"a": {"enabled": True}, "b": {"on": False}}, True),
        ({"tags": {"gpu": False}}, False),
        ({"tags": {"gpu": False, "all": True}}, True),
        ({"tags": {"gpu": True}, "a": {"enabled": False}}, False),
    ],
)
def test_conditions_and_tags_are_those_of_helm(tmp_path: Path, values: dict[str, Any], enabled: bool) -> None:
    inner = tmp_path / "charts" / "inner"
    (inner / "templates").mkdir(parents=True)
    (inner / "Chart.yaml").write_text("apiVersion: v2\nname: inner\nversion: 1.0.0\n")
    (inner / "templates" / "a.yaml").write_text("kind: ConfigMap")
    entry = {
        "name": "inner",
        "version": "1.0.0",
        "alias": "a",
        "condition": "a.enabled,b.on",
        "tags": ["gpu", "all"],
    }
    chart_yaml = {"apiVersion": "v2", "name": "outer", "version": "1.0.0", "dependencies": [entry]}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart_yaml))
    (dependency,) = dependencies.find(tmp_path)
    with helm_python.Chart.load(tmp_path) as chart:
        by_helm = bool(chart.render(values, name="demo"))
    assert (dependency.enabled(values), by_helm) == (enabled, enabled)


def test_an_umbrella_around_an_umbrella_is_checked(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    inner = umbrella(tmp_path / "inner", {"maskrcnn": {"maskrcnn": TRAINING}}, ("maskrcnn", "maskrcnn"))
    (tmp_path / "outer" / "charts").mkdir(parents=True)
    shutil.copytree(inner, tmp_path / "outer" / "charts" / "platform", symlinks=True)
    (tmp_path / "outer" / "Chart.yaml").write_text(
        "apiVersion: v2\nname: outer\nversion: 1.0.0\ndependencies: [{name: platform, version: 1.0.0}]\n"
    )
    (line,) = findings_of(tmp_path / "outer", "platform: {maskrcnn: {maskrcnn: {gpus: 20}}}")
    assert line.startswith("my.yaml:1:40: error MRC014 platform.maskrcnn.maskrcnn.gpus: 20 is not")
