"""The values.schema.json of every chart: legal, complete, and in step with values.yaml and the examples."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import pytest
import yaml
from rendering import CHARTS

DIRECTORIES = sorted(file.parent for file in CHARTS.glob("*/Chart.yaml"))
ALL = pytest.mark.parametrize("chart", DIRECTORIES, ids=lambda chart: chart.name)
OWN = [chart for chart in DIRECTORIES if not (chart / "values.schema.json").is_symlink()]
VALUES_FILES = sorted(
    file
    for chart in DIRECTORIES
    for file in [chart / "values.yaml", *chart.glob("examples/*.yaml")]
    if not any(parent.is_symlink() for parent in file.parents)
)
# Whom to let in is the user's to say, and a chart alone is not switched on.
WITHOUT_A_DEFAULT = {"global.source_cidr", "enabled"}


def schema_of(chart: Path) -> Any:
    return json.loads((chart / "values.schema.json").read_text())


def defaults_of(chart: Path) -> Any:
    return yaml.safe_load((chart / "values.yaml").read_text())


def properties(root: Any, schema: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every property of every object, by dotted path, with the definition that it refers to put in."""
    for name, definition in (root if schema is None else schema).get("properties", {}).items():
        subschema = resolved(root, definition)
        yield f"{path}{name}", subschema
        yield from properties(root, subschema, f"{path}{name}.")
        inner = [subschema.get(key) for key in ("items", "additionalProperties")]
        for item in [*inner, *subschema.get("patternProperties", {}).values()]:
            if isinstance(item, dict):
                yield f"{path}{name}[]", resolved(root, item)
                yield from properties(root, resolved(root, item), f"{path}{name}[].")


def resolved(root: Any, definition: Any) -> Any:
    if "$ref" not in definition:
        return definition
    target = root["$defs"][definition["$ref"].removeprefix("#/$defs/")]
    return resolved(root, target) | {key: value for key, value in definition.items() if key != "$ref"}


@ALL
def test_the_schema_is_a_2020_12_schema(chart: Path) -> None:
    assert schema_of(chart)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema_of(chart))


@pytest.mark.parametrize(
    ("chart", "path", "definition"),
    [
        pytest.param(chart, path, definition, id=f"{chart.name}:{path}")
        for chart in OWN
        for path, definition in properties(schema_of(chart))
    ],
)
def test_every_property_says_what_it_is(chart: Path, path: str, definition: Any) -> None:
    assert definition["description"].endswith((".", ")"))
    assert "type" in definition or "enum" in definition
    if "properties" in definition:
        return
    assert definition["examples"]
    validator = jsonschema.Draft202012Validator({**definition, "$defs": schema_of(chart)["$defs"]})
    for example in definition["examples"]:
        validator.validate(example)


@ALL
def test_an_unknown_key_is_rejected_at_every_level(chart: Path) -> None:
    schema = schema_of(chart)
    levels = {path: part for path, part in properties(schema) if "properties" in part}
    closed = {path for path, part in levels.items() if part.get("additionalProperties") is False}
    # Helm passes all of a parent's global values to its dependencies.
    assert set(levels) - closed == {"global"}
    assert schema["additionalProperties"] is False


@ALL
def test_values_yaml_has_every_value_of_the_schema(chart: Path) -> None:
    subcharts = {directory.name for directory in chart.glob("charts/*")}
    described = {
        path
        for path, definition in properties(schema_of(chart))
        if "properties" not in definition and "[]" not in path and path.split(".")[0] not in subcharts
    }
    assert {path for path in described if not has(defaults_of(chart), path)} == described & WITHOUT_A_DEFAULT


@ALL
def test_the_defaults_are_legal(chart: Path) -> None:
    jsonschema.Draft202012Validator(schema_of(chart)).validate(defaults_of(chart))


@pytest.mark.parametrize("file", VALUES_FILES, ids=lambda file: str(file.relative_to(CHARTS)))
def test_an_editor_finds_the_schema_of_a_values_file(file: Path) -> None:
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text())
    assert named
    chart = next(parent for parent in file.parents if parent in DIRECTORIES)
    assert (file.parent / named[1]).resolve() == (chart / "values.schema.json").resolve()


@ALL
def test_helm_lint_of_a_fresh_checkout_is_clean(chart: Path) -> None:
    report = helm_python.lint(chart, strict=True, quiet=True)
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


def has(values: Any, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True
