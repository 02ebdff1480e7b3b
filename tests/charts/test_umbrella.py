"""The charts as dependencies of a user's own chart, with aliases and with global values of other charts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import CHARTS, VERSION, Object, check_object, render_objects

TRAINING = {"maskrcnn": {"image": "trainer:1", "node_group": "p4d"}}
REQUIRED: dict[str, dict[str, Any]] = {
    "maskrcnn": TRAINING,
    "maskrcnn-optimized": TRAINING,
    "jupyter": {"image": "lab:1"},
    "stage-data": {"image": "stage:1", "s3_uri": "s3://bucket/data"},
    "sagemaker": {
        **TRAINING,
        "sagemaker": {
            "role": "arn:aws:iam::123456789012:role/training",
            "data": {"s3_uri": "s3://bucket/data"},
            "output_s3_uri": "s3://bucket/output",
            "job_token": "token",
        },
    },
    "serve": {"image": "serve:1", "model": "kubeflow/exported"},
}
FOREIGN = {"imageRegistry": "registry.example.com", "team": {"name": "vision"}}
NAMES = sorted(file.parent.name for file in CHARTS.glob("*/Chart.yaml"))


def umbrella(directory: Path, *dependencies: tuple[str, str]) -> Path:
    """A chart with dependencies, as (chart, alias)."""
    (directory / "charts").mkdir()
    entries = []
    for chart, alias in dependencies:
        entries.append({"name": chart, "version": VERSION, "alias": alias, "condition": f"{alias}.enabled"})
        link = directory / "charts" / chart
        if not link.is_symlink():
            link.symlink_to(CHARTS / chart)
    chart_yaml = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": entries}
    (directory / "Chart.yaml").write_text(yaml.safe_dump(chart_yaml))
    return directory


def keys(objects: list[Object]) -> list[tuple[str, str]]:
    return sorted((item["kind"], item["metadata"]["name"]) for item in objects)


@pytest.mark.parametrize("chart", NAMES)
def test_every_chart_is_a_dependency_with_a_condition_and_foreign_globals(chart: str, tmp_path: Path) -> None:
    parent = umbrella(tmp_path, (chart, chart))
    own = REQUIRED.get(chart, {})
    rendered = render_objects(parent, {"global": FOREIGN, chart: {**own, "enabled": True}})
    assert rendered
    for item in rendered:
        check_object(item)
    assert render_objects(parent, {"global": FOREIGN, chart: {**own, "enabled": False}}) == []


@pytest.mark.parametrize("chart", ["maskrcnn", "maskrcnn-optimized", "jupyter", "serve", "tensorboard"])
def test_two_aliases_of_one_chart_have_distinct_objects_and_selectors(chart: str, tmp_path: Path) -> None:
    parent = umbrella(tmp_path, (chart, "first"), (chart, "second"))
    own = {**REQUIRED.get(chart, {}), "enabled": True}
    for name in ("maskrcnn", "maskrcnn-optimized"):
        if chart == name:
            own["tensorboard"] = {"enabled": False}
    names = keys(render_objects(parent, {"first": own, "second": own}))
    assert len(names) == len(set(names))
    assert {name for kind, name in names if kind == "MPIJob"} <= {"demo-first", "demo-second"}


def test_operator_and_job_render_together(tmp_path: Path) -> None:
    parent = umbrella(tmp_path, ("mpijob", "mpijob"), ("maskrcnn", "maskrcnn"))
    values = {"mpijob": {"enabled": True}, "maskrcnn": {**TRAINING, "enabled": True}}
    kinds = {kind for kind, _ in keys(render_objects(parent, {"global": FOREIGN, **values}))}
    assert {"MPIJob", "CustomResourceDefinition", "Deployment"} <= kinds
