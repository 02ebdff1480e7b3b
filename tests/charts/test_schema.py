"""values.schema.json: legal, complete, and in step with values.yaml."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import pytest
import yaml
from maskrcnn_chart import CHART, check_job
from mrc_values.helm import render

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
TUTORIAL = sorted((Path(__file__).parent / "values").glob("tutorial-*.yaml"))
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
WITHOUT_A_DEFAULT = {"global.source_cidr"}
SUBCHARTS = ("jupyter", "tensorboard")  # their defaults are in their own charts


def properties(schema: dict[str, Any] = SCHEMA, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of every object, by dotted path, with the definition that it refers to put in."""
    for name, definition in schema.get("properties", {}).items():
        if "$ref" in definition:
            definition = SCHEMA["$defs"][definition["$ref"].removeprefix("#/$defs/")] | definition
        yield f"{path}{name}", definition
        yield from properties(definition, f"{path}{name}.")
        for key in ("items", "additionalProperties"):
            if isinstance(definition.get(key), dict):
                yield f"{path}{name}[]", definition[key]
                yield from properties(definition[key], f"{path}{name}[].")
        for pattern in definition.get("patternProperties", {}).values():
            yield f"{path}{name}[]", pattern
            yield from properties(pattern, f"{path}{name}[].")


def test_the_schema_is_a_2020_12_schema() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("path", "definition"), [pytest.param(*item, id=item[0]) for item in properties()])
def test_every_property_says_what_it_is(path: str, definition: dict[str, Any]) -> None:
    assert definition["description"].endswith((".", ")"))
    assert "type" in definition or "enum" in definition
    if definition.get("type") == "object" and "properties" in definition:
        assert definition["additionalProperties"] is False
    else:
        assert definition["examples"]
        validator = jsonschema.Draft202012Validator({**definition, "$defs": SCHEMA["$defs"]})
        for example in definition["examples"]:
            validator.validate(example)


def test_a_key_that_nobody_knows_is_refused_at_every_level() -> None:
    levels = [SCHEMA] + [definition for _, definition in properties() if "properties" in definition]
    assert len(levels) > 5
    assert all(level["additionalProperties"] is False for level in levels)


def test_values_yaml_has_every_value_of_the_schema_and_no_other() -> None:
    # Down to the second level; below lie Kubernetes' own objects.
    described = {
        path
        for path, _ in properties()
        if path.count(".") <= 1 and "[]" not in path and not path.startswith(SUBCHARTS)
    }
    written = {
        path
        for section, values in DEFAULTS.items()
        if section not in SUBCHARTS
        for path in [section, *(f"{section}.{name}" for name in values)]
    }
    assert written == described - WITHOUT_A_DEFAULT


def test_the_defaults_are_legal() -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(DEFAULTS)


def test_an_editor_finds_the_schema() -> None:
    assert "# yaml-language-server: $schema=values.schema.json" in (CHART / "values.yaml").read_text()


def test_old_names_are_marked() -> None:
    assert {path for path, definition in properties() if definition.get("deprecated")} == {
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


def test_both_flavours_of_the_tutorial_are_here() -> None:
    assert [file.stem for file in TUTORIAL] == ["tutorial-optimized", "tutorial-plain"]


def test_helm_lint_of_a_fresh_checkout_is_clean() -> None:
    report = helm_python.lint(CHART, strict=True, quiet=True)
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []
