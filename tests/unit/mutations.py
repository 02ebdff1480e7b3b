"""One mistake at a time in a complete values file: mutations driven by the chart's schema.

The files in complete/ have every value of a schema on a separate line. A mistake is therefore a changed
line, and the expected position of the finding is known without running the program under test.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).with_name("complete")
CHARTS = Path(__file__).parents[2] / "charts"

FILES = {"maskrcnn": "maskrcnn.yaml", "maskrcnn-optimized": "maskrcnn.yaml", "mpijob": "mpijob.yaml"}
"""The complete values file of each chart; those of jupyter and tensorboard are sub-charts in the first."""

KINDS = ("wrong type", "misspelt", "out of range", "swapped", "missing")

Path_ = tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A value of a complete file: its line's number (from 1), name, indentation and text."""

    number: int
    name: str
    indent: str
    text: str


@dataclass(frozen=True)
class Mutation:
    """A values file with one mistake. ``lines`` may be reported for it; ``label`` describes it."""

    chart: str
    kind: str
    path: Path_
    label: str
    content: str
    lines: frozenset[int]


def sample(count: int, seed: int) -> list[Mutation]:
    """A reproducible sample with the same number of every kind and at least one mutation of every value."""
    chance = random.Random(seed)
    everything = every_mutation()
    chance.shuffle(everything)
    chosen: list[Mutation] = []
    covered: set[tuple[str, Path_]] = set()
    for kind in KINDS:
        candidates = [mutation for mutation in everything if mutation.kind == kind]
        for _ in range(count // len(KINDS)):
            # maskrcnn-optimized has maskrcnn's schema, so one of the two is enough.
            new = (
                mutation for mutation in candidates if (FILES[mutation.chart], mutation.path) not in covered
            )
            mutation = next(new, candidates[0])
            candidates.remove(mutation)
            covered.add((FILES[mutation.chart], mutation.path))
            chosen.append(mutation)
    return chosen


def every_mutation() -> list[Mutation]:
    """All mutations, in the order of charts, values and kinds."""
    return [mutation for chart in FILES for mutation in _of_chart(chart)]


def lines_of(chart: str) -> dict[Path_, Line]:
    """The values of a chart's complete file by path, without the sections."""
    lines: dict[Path_, Line] = {}
    sections: list[str] = []
    for number, line in enumerate(_content(chart).splitlines(), start=1):
        match = re.fullmatch(r"( *)(\w+):(?: (.+))?", line)
        if match is None:
            continue
        indent, name, text = match.groups()
        sections = [*sections[: len(indent) // 2], name]
        if text:
            lines[tuple(sections)] = Line(number, name, indent, text)
    return lines


def values_of(chart: str) -> dict[Path_, Any]:
    """Every value of a chart's schema by its path, with its schema."""
    root = json.loads((CHARTS / chart / "values.schema.json").read_text())
    return dict(_leaves(root, root, ()))


def _leaves(root: Any, schema: Any, path: Path_) -> Iterator[tuple[Path_, Any]]:
    for name, part in schema["properties"].items():
        part = _resolved(root, part)
        if "properties" in part:
            yield from _leaves(root, part, (*path, name))
        elif name not in ("global", "sagemaker"):  # of a sub-chart, which Helm fills in; of another chart
            yield (*path, name), part


def _resolved(root: Any, schema: Any) -> Any:
    if "$ref" not in schema:
        return schema
    return root["$defs"][schema["$ref"].removeprefix("#/$defs/")] | schema


def _content(chart: str) -> str:
    return (DIRECTORY / FILES[chart]).read_text()


def _of_chart(chart: str) -> Iterator[Mutation]:
    lines, schemas = lines_of(chart), values_of(chart)
    for path, line in lines.items():
        schema = schemas[path]
        for text in _of_wrong_type(schema):
            yield _changed(chart, "wrong type", path, line, text)
        for text in _out_of_range(schema, line.text):
            yield _changed(chart, "out of range", path, line, text)
        for name in _misspelt(line.name, {other[-1] for other in schemas if other[:-1] == path[:-1]}):
            new = f"{line.indent}{name}: {line.text}"
            yield _replaced(chart, "misspelt", path, f"{name} for {line.name}", {line.number: new})
        yield _replaced(chart, "missing", path, "left out", {line.number: None})
        yield _replaced(chart, "missing", path, "empty", {line.number: f"{line.indent}{line.name}:"})
    for (path, line), (other_path, other) in zip(lines.items(), list(lines.items())[1:], strict=False):
        if path[:-1] == other_path[:-1] and yaml.safe_load(line.text) != yaml.safe_load(other.text):
            new_lines: dict[int, str | None] = {
                line.number: f"{line.indent}{line.name}: {other.text}",
                other.number: f"{other.indent}{other.name}: {line.text}",
            }
            yield _replaced(chart, "swapped", path, f"with {other.name}", new_lines)


def _changed(chart: str, kind: str, path: Path_, line: Line, text: str) -> Mutation:
    return _replaced(chart, kind, path, text, {line.number: f"{line.indent}{line.name}: {text}"})


def _replaced(chart: str, kind: str, path: Path_, label: str, changes: dict[int, str | None]) -> Mutation:
    lines: list[str | None] = list(_content(chart).splitlines())
    for number, line in changes.items():
        lines[number - 1] = line
    kept = [line for line in lines if line is not None]
    return Mutation(chart, kind, path, label, "\n".join(kept) + "\n", frozenset(changes))


_OF_TYPES = {
    "integer": ("7", "7000"),
    "number": ("0.5",),
    "string": ("plenty", "'12'"),
    "boolean": ("true",),
    "array": ("[1, 2]", "[]"),
    "object": ("{a: b}",),
}


def _of_wrong_type(schema: Any) -> list[str]:
    """YAML texts of values whose type the schema does not allow."""
    kinds = schema.get("type") or ["string", "null"]  # of an enum
    kinds = [kinds] if isinstance(kinds, str) else kinds
    allowed = {*kinds, *(["integer"] if "number" in kinds else [])}
    return [text for kind, texts in _OF_TYPES.items() if kind not in allowed for text in texts]


def _out_of_range(schema: Any, text: str) -> list[str]:
    """YAML texts of the right type outside the limits of the schema or of the setting."""
    value, texts = yaml.safe_load(text), []
    if isinstance(value, bool | list | dict):
        return []
    if isinstance(value, int | float):
        lowest = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        highest = schema.get("maximum", 10**9)
        texts += [str(lowest - 1), str(-value), str(highest + 1), "1e30"]
    if isinstance(value, str):
        texts += [f"'{value[:5]} {value[5:]}'", f"'{value}!'", f"'/../{value}'", f"'{value}{value * 300}'"]
    return [new for new in texts if yaml.safe_load(new) != value]


def _misspelt(name: str, taken: set[str]) -> list[str]:
    """The name with a letter missing, doubled, swapped, capitalized or added, and with hyphens."""
    names = {
        name[:-1],
        name[:2] + name[1:],
        name[:1] + name[2:3] + name[1:2] + name[3:],
        name.capitalize(),
        name.replace("_", "-"),
        name + "s",
    }
    return sorted(names - taken - {name, ""})
