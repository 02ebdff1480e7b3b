"""The quick answer whether a value matches a schema, compared with jsonschema's."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from mrc_values import kubeschema
from mrc_values.matching import surely_matches
from mrc_values.rules import RULES
from values_files import CHARTS

SCHEMAS = sorted(CHARTS.glob("*/values.schema.json"))
GOLDEN = sorted((Path(__file__).parents[1] / "charts" / "golden").rglob("*.txt"))


def answers(value: Any, schema: dict[str, Any]) -> tuple[bool, bool]:
    """Ours and jsonschema's."""
    valid = jsonschema.Draft202012Validator(schema).is_valid(value)
    return surely_matches(value, schema, schema), valid


def damaged(value: Any) -> list[Any]:
    """Copies of a value in which one inner value each is removed or replaced."""
    if not isinstance(value, dict | list):
        replacements: list[Any] = [None, True, -1, 0.5, "", "a b", [], {"x": 1}]
        return [other for other in replacements if other != value]
    keys = list(value) if isinstance(value, dict) else range(len(value))
    copies = []
    for key in keys:
        for inner in [*damaged(value[key]), ...]:
            copy = value.copy()
            if inner is ...:
                del copy[key]
            else:
                copy[key] = inner
            copies.append(copy)
    return copies


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.parent.name)
def test_the_charts_defaults_damaged_in_many_places(file: Path) -> None:
    schema = json.loads(file.read_text())
    defaults = yaml.safe_load((file.parent / "values.yaml").read_text())
    for value in [defaults, *damaged(defaults)[::7]]:
        ours, theirs = answers(value, schema)
        assert ours == theirs, value


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_the_examples_of_rules(rule: Any) -> None:
    schema = json.loads((CHARTS / rule.chart / "values.schema.json").read_text())
    for text in (rule.failing, rule.passing):
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            continue
        ours, theirs = answers(value, schema)
        assert ours == theirs


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "integer"}, 1.0, (True, True)),
        ({"type": "integer"}, True, (False, False)),
        ({"type": "number"}, float("inf"), (True, True)),
        ({"enum": [1]}, True, (False, False)),
        ({"enum": [1]}, 1.0, (False, True)),
        ({"enum": [[1]]}, [1], (False, True)),
        ({"maximum": 1}, True, (True, True)),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 1, (False, False)),
        ({"oneOf": [{"type": "integer"}, {"const": 1}]}, 1, (False, False)),
        ({"patternProperties": {"^a": False}, "additionalProperties": False}, {"ab": 1}, (False, False)),
        ({"patternProperties": {"^a": {}}, "additionalProperties": False}, {"ab": 1}, (True, True)),
        ({"additionalProperties": {"type": "string"}}, {"a": "b"}, (True, True)),
        ({"not": {"type": "null"}}, 1, (False, True)),
        ({"$ref": "#/$defs/a", "$defs": {"a": False}}, 1, (False, False)),
        ({"$ref": "#/$defs/a%25", "$defs": {"a%": True}}, 1, (False, True)),
        ({"properties": {"a": {"$id": "https://example.com/", "$defs": {}}}}, {"a": 1}, (False, True)),
    ],
)  # fmt: skip
def test_what_is_not_certain_is_left_to_jsonschema(
    schema: dict[str, Any], value: Any, expected: tuple[bool, bool]
) -> None:
    assert answers(value, schema) == expected


def test_a_pattern_ends_where_helms_does() -> None:
    schema = {"pattern": "^a$"}
    assert [surely_matches(value, schema, schema) for value in ("a", "a\n")] == [True, False]


def test_rendered_objects_damaged_in_many_places() -> None:
    """Objects of each kind are accepted exactly where the package kubernetes-validate accepts them."""
    kinds: dict[str, Any] = {}
    for template in "".join(file.read_text() for file in GOLDEN).split("# Source: "):
        path, _, text = template.partition("\n")
        for item in yaml.safe_load_all(text) if path.endswith(".yaml") else ():
            if item and item["kind"] in ("Deployment", "Service", "Job", "Role", "PersistentVolumeClaim"):
                kinds.setdefault(item["kind"], item)
    assert len(kinds) == 5
    for item in kinds.values():
        head = {"apiVersion": item.pop("apiVersion"), "kind": item.pop("kind")}
        for rest in [item, *damaged(item)[7::61]]:
            value = {**head, **rest}
            rejected = list(kubeschema.check({"object.yaml": yaml.safe_dump(value)}))
            assert bool(rejected) != is_valid(value), value


def is_valid(item: dict[str, Any]) -> bool:
    try:
        kubernetes_validate.validate(item, kubeschema.VERSION, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return True
    except jsonschema.ValidationError:
        return False
    return True
