"""The values that the chart maskrcnn accepts: those of the tutorial, deprecated names, the examples."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from maskrcnn_chart import CHART, check_job
from mrc_values.helm import render
from rendering import CHARTS
from test_schemas import properties

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
TUTORIAL = sorted((Path(__file__).parent / "values").glob("tutorial-*.yaml"))
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))


def test_deprecated_names_are_marked() -> None:
    assert {path for path, definition in properties(SCHEMA) if definition.get("deprecated")} == {
        "maskrcnn.tp_16",
        "maskrcnn.gpu_instance_type",
        "jupyter.gpu_instance_type",
        "jupyter.log_dir",
        "tensorboard.upstream_port",
    }


@pytest.mark.parametrize("file", TUTORIAL, ids=lambda file: file.stem)
def test_values_files_of_the_tutorial_validate_and_render(file: Path) -> None:
    values = yaml.safe_load(file.read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(values)
    texts = render(CHART, values, "maskrcnn")
    job = yaml.safe_load(texts["maskrcnn/templates/mpijob.yaml"])
    check_job(job)
    args = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]["args"]
    assert values["maskrcnn"]["train_script"] in args
    assert f"DATA.TRAIN={values['maskrcnn']['data_train']}" in args
    assert values["maskrcnn"]["extra_config"] == args[-1]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_validate_and_render(file: Path) -> None:
    values = yaml.safe_load(file.read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(values)
    check_job(yaml.safe_load(render(CHART, values, "demo")["maskrcnn/templates/mpijob.yaml"]))


def test_both_values_files_of_the_tutorial_are_tested() -> None:
    assert [file.stem for file in TUTORIAL] == ["tutorial-optimized", "tutorial-plain"]


@pytest.mark.parametrize("chart", ["maskrcnn", "maskrcnn-optimized"])
def test_an_epoch_of_the_defaults_is_the_data_set_s_size(chart: str) -> None:
    sizes = yaml.safe_load((CHARTS / "common" / "files" / "data-sets.yaml").read_text())
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())["maskrcnn"]
    images = values["images_per_epoch"] or values["steps_per_epoch"] * values["gpus"]
    assert images == sizes["train2017"]["images"]
