"""The parts of a chart that are checked on their own: the chart, and each dependency with its own values.

A chart of the suite describes the values of its sub-charts in its own schema and rules, so it is a single
part. The parts of a user's chart, which has charts of the suite as dependencies, are that chart and the
dependencies, with the values that Helm passes on to them.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mrc_cli.findings import Finding, ValuePath, dotted

from mrc_values import values
from mrc_values.dependencies import Dependency
from mrc_values.documents import Document
from mrc_values.schema import FILE, subschema
from mrc_values.values import Values

_GLOBAL = "global"


@dataclass(frozen=True)
class Part:
    """A chart with its values.

    Attributes:
        path: the section of the topmost chart's values that these are; empty for that chart.
        values: as the chart sees them.
        schema: its values.schema.json; empty if it has none.
        enabled: whether Helm installs it.
        has_parts: whether it has dependencies that are parts.
    """

    path: ValuePath
    chart: Path
    values: Values
    schema: dict[str, Any]
    enabled: bool
    has_parts: bool

    @property
    def of_the_suite(self) -> bool:
        """Whether it is a chart of the suite or a copy of one: its schema has their global values."""
        known: dict[str, Any] = subschema(self.schema, (_GLOBAL,)).get("properties", {})
        return {"namespace", "common_labels"} <= known.keys()

    @property
    def has_rules(self) -> bool:
        """Whether the rules apply to it. Values of other charts have other meanings under the same names."""
        return self.enabled and (self.of_the_suite or not (self.path or self.has_parts))

    def outer(self, finding: Finding) -> Finding:
        """A finding about the values of this chart as one about the values of the topmost chart."""
        if not self.path:
            return finding
        meant = None if finding.meant is None else self.outer_path(finding.meant)
        path = self.outer_path(finding.path) if finding.path else ()
        message, fix = self._outer_names(finding.message), self._outer_names(finding.fix)
        return replace(finding, path=path, meant=meant, message=message, fix=fix)

    def outer_path(self, path: ValuePath) -> ValuePath:
        """Where a value of this chart is in the topmost chart's values."""
        return path if path[:1] == (_GLOBAL,) else (*self.path, *path)

    def _outer_names(self, text: str) -> str:
        """A message in which names such as ``maskrcnn.gpus`` are those of the topmost chart."""
        sections = [name for name, value in self.values.merged.items() if isinstance(value, dict)]
        names = "|".join(re.escape(name) for name in sections if name != _GLOBAL)
        pattern = rf"(?<![\w./:-])((?:{names})\.[a-z_]\w*)"
        return re.sub(pattern, rf"{dotted(self.path)}.\1", text) if names else text


def find(chart: Path, loaded: Values) -> list[Part]:
    """The chart itself, then its dependencies and theirs."""
    return list(_parts((), chart, loaded, enabled=True))


def of_template(parts: Sequence[Part], template: str) -> Part:
    """The part that a template such as ``platform/charts/training/templates/mpijob.yaml`` belongs to."""
    names = PurePosixPath(template).parts
    sections = [names[index + 1] for index, name in enumerate(names[:-1]) if name == "charts"]
    matching = [part for part in parts if list(part.path) == sections[: len(part.path)]]
    return max(matching, key=lambda part: len(part.path))


def _parts(path: ValuePath, chart: Path, loaded: Values, enabled: bool) -> Iterator[Part]:
    file = chart / FILE
    schema: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    if not path and _GLOBAL in schema.get("properties", {}):
        # The schema allows the global values of a parent chart; a chart alone has none, and rejects them.
        schema["properties"][_GLOBAL]["additionalProperties"] = False
    separate = [
        dependency
        for dependency in loaded.dependencies
        if not subschema(schema, (dependency.name,)).get("properties")
    ]
    yield Part(path, chart, loaded, schema, enabled, bool(separate))
    for dependency in separate:
        inner = _passed_on(loaded, dependency)
        conditions = {**loaded.merged, dependency.name: inner.merged}
        yield from _parts(
            (*path, dependency.name), dependency.chart, inner, enabled and dependency.enabled(conditions)
        )


def _passed_on(loaded: Values, dependency: Dependency) -> Values:
    """The values of a dependency: its section and the global values, which take precedence."""
    section: Any = {}
    shared: Any = {}
    sources = [loaded.defaults[-1], *loaded.given]
    for document in sources:
        items = not document.is_file
        section = values.merge(section, _mapping(document.values, dependency.name), items)
        shared = values.merge(shared, _mapping(document.values, _GLOBAL), items)
    user = {**section, _GLOBAL: values.merge(_mapping(section, _GLOBAL), shared)}
    return values.of(dependency.chart, [_section(source, dependency.name) for source in sources], user)


def _section(document: Document, name: str) -> Document:
    """What a source says about a dependency, as the dependency's own values."""

    def inner(path: ValuePath) -> ValuePath | None:
        return path if path[:1] == (_GLOBAL,) else path[1:] if path[:1] == (name,) else None

    def moved(table: dict[ValuePath, Any]) -> dict[ValuePath, Any]:
        return {new: value for path, value in table.items() if (new := inner(path)) is not None}

    section = _mapping(document.values, name)
    shared = values.merge(_mapping(section, _GLOBAL), _mapping(document.values, _GLOBAL))
    return replace(
        document,
        values={**section, _GLOBAL: shared} if shared else section,
        positions=moved(document.positions),
        keys=moved(document.keys),
        texts=moved(document.texts),
        findings=[],
    )


def _mapping(of: dict[str, Any], name: str) -> dict[str, Any]:
    """A section, or an empty one if it is not a mapping, which check.py reports."""
    section = of.get(name)
    return section if isinstance(section, dict) else {}
