"""Writes each chart's values.schema.json from its values.schema.yaml.

A source refers to definitions of its own and to those that all charts share, in charts/common/schema.yaml.
``{$chart: NAME}`` as a property is the property of that name in the source of chart NAME. A chart's schema
includes those of its sub-charts: Helm does not check values of a sub-chart that is disabled, and an editor
completes from one file. With --check it writes nothing and fails if a schema is not up to date.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import generated
import yaml
from generated import ROOT

CHARTS = ROOT / "charts"
SOURCE, TARGET = "values.schema.yaml", "values.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
WIDTH = 110

Schema = dict[str, Any]


def sources(charts: Path) -> list[Path]:
    """The charts that have a schema source. A chart that links to another's schema has none."""
    return sorted(file.parent for file in charts.glob(f"*/{SOURCE}"))


def schema(chart: Path) -> Schema:
    """The complete schema of a chart. Raises ValueError for a definition that is missing or defined twice."""
    source = _read(chart / SOURCE)
    definitions = _definitions(chart, source)
    properties = dict(source["properties"])
    for name, part in source["properties"].items():
        if other := part.get("$chart"):
            shared = _read(chart.parent / other / SOURCE)
            properties[name] = shared["properties"][name]
            definitions = {**_definitions(chart.parent / other, shared), **definitions}
    for dependency in _read(chart / "Chart.yaml").get("dependencies", ()):
        subchart = chart / "charts" / dependency["name"]
        section, inner = _section(subchart)
        for name, definition in inner.items():
            if definitions.setdefault(name, definition) != definition:
                raise ValueError(f"{subchart}: $defs/{name} differs from the definition in {chart.name}")
        properties[dependency["name"]] = section
    source.pop("$defs", None)
    merged = {"$schema": DIALECT, **source, "properties": properties}
    used = _used(merged, definitions, chart)
    return {**merged, "$defs": {name: part for name, part in definitions.items() if name in used}}


def text(value: Schema) -> str:
    """JSON with whatever fits a line on one line."""
    return _json(value, "") + "\n"


def _read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def _definitions(chart: Path, source: Schema) -> Schema:
    common: Schema = _read(chart.resolve().parent / "common" / "schema.yaml")["$defs"]
    own: Schema = source.get("$defs", {})
    for name in own:
        if name in common:
            raise ValueError(f"{chart / SOURCE}: $defs/{name} is also defined in common/schema.yaml")
    return {**common, **own}


def _section(subchart: Path) -> tuple[Schema, Schema]:
    """A sub-chart's schema as a property of its parent's, and its definitions.

    Helm fills a sub-chart's ``global`` from the parent's, whose own schema describes it.
    """
    source = _read(subchart / SOURCE)
    shared = {"description": "Filled by Helm from the parent's global.", "type": "object", "examples": [{}]}
    section = {
        "description": source["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": {**source["properties"], "global": shared},
    }
    return section, _definitions(subchart, source)


def _used(part: Any, definitions: Schema, chart: Path) -> set[str]:
    """Names of the definitions that a schema refers to, directly or through others."""
    names: set[str] = set()
    todo = list(_references(part))
    while todo:
        name = todo.pop()
        if name not in definitions:
            raise ValueError(f"{chart / SOURCE}: there is no $defs/{name}, here or in common/schema.yaml")
        if name not in names:
            names.add(name)
            todo += _references(definitions[name])
    return names


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].removeprefix("#/$defs/")
        for inner in part.values():
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _json(value: Any, indent: str) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    inner = indent + "  "
    if isinstance(value, list):
        rows = [inner + _json(item, inner) for item in value]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    rows = [f"{inner}{json.dumps(key)}: {_json(item, inner)}" for key, item in value.items()]
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}"


if __name__ == "__main__":
    sys.exit(
        generated.main(__doc__, lambda: {chart / TARGET: text(schema(chart)) for chart in sources(CHARTS)})
    )
