"""Writes docs/values.md: every value of every chart, from its values.schema.json and its values.yaml.

With --check it writes nothing and fails when the page is not up to date.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import generated
import yaml
from generated import ROOT

PAGE = ROOT / "docs" / "values.md"

ORDER = ("maskrcnn", "maskrcnn-optimized", "jupyter", "tensorboard", "mpijob")
"""Charts as a user meets them; others follow by name."""

GROUPS = {
    "maskrcnn": {
        "name": "job",
        "image": "image and program",
        "gpus": "GPUs and nodes",
        "data_fs": "data",
        "mode_fpn": "training",
        "horovod_cycle_time": "communication",
        "run_as_user": "pods",
    }
}
"""A long section is cut into tables: each starts at the value named here, in the schema's order."""

INTRO = """\
# Values

Made by `make reference` from the charts' schemas and `values.yaml` files; change those, not this page.

What you do not set has the default. With `--set` and in your own file a name comes under its section, such as
`maskrcnn.gpus`. An editor with a YAML language server completes and checks a file that starts with

```yaml
# yaml-language-server: $schema=charts/maskrcnn/values.schema.json
```

(the path counts from your file). [`mrc-values validate`](mrc-values.md) also finds what no type can say.
"""

TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "names with values",
}

NAMED = {"number": "number", "quantity": "quantity", "claim": "name of a claim"}
"""Definitions of the schemas that say more than their JSON type."""

Schema = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """A value that a schema names; ``path`` starts at the chart's root."""

    path: tuple[str, ...]
    schema: Schema


def page(charts: Path) -> str:
    """The whole page; charts that share a schema by a link share a section."""
    folders = sorted((file.parent for file in charts.glob("*/values.schema.json")), key=_rank)
    sharing: dict[Path, list[Path]] = {}
    for folder in folders:
        sharing.setdefault((folder / "values.schema.json").resolve(), []).append(folder)
    links, parts = [], []
    for file, shared in sharing.items():
        title = " and ".join(folder.name for folder in shared)
        text = "\n".join([f"## {title}\n", *_chart(json.loads(file.read_text()), shared)])
        inner = [_link(heading) for heading in re.findall("^### (.*)", text, re.MULTILINE)]
        links.append(": ".join([f"- {_link(title)}", ", ".join(inner)][: 1 + bool(inner)]))
        parts.append(text)
    return "\n".join([INTRO, "\n".join(links) + "\n", *parts])


def _rank(folder: Path) -> tuple[int, str]:
    name = folder.name
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def _link(heading: str) -> str:
    """A link to a heading by the anchor that GitHub gives it; of "chart: part" it shows the part."""
    anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    return f"[{heading.rpartition(': ')[2]}](#{anchor})"


def _chart(schema: Schema, charts: Sequence[Path]) -> Iterator[str]:
    """A chart's text and tables: values at its root, then a part for each section."""
    defaults = [yaml.safe_load((chart / "values.yaml").read_text()) or {} for chart in charts]
    names = [chart.name for chart in charts]
    yield f"{schema['description']}\n"
    if len(names) > 1:
        yield f"Where a default of {', '.join(names[1:])} is another, it has a column of its own.\n"
    # Values of a chart all of whose values are in sections are described with their section.
    plain = {name for name, part in schema["properties"].items() if "properties" not in part}
    if plain:
        plain |= {name for name, part in schema["properties"].items() if not _is_section(name, part, names)}
        root = {name: schema["properties"][name] for name in schema["properties"] if name in plain}
        yield _table(list(_values(schema, root, ())), names, defaults)
    for name, part in schema["properties"].items():
        subchart = (charts[0] / "charts" / name).resolve()
        if name in plain:
            continue
        if subchart.is_dir():
            yield from _subchart(name, subchart, schema, part, names, defaults)
            continue
        for title, group in _groups(name, list(_values(schema, part["properties"], (name,)))):
            yield f"### {names[0]}: {title}\n"
            if title == name:
                yield f"{part['description']}\n"
            yield _table(group, names, defaults)


def _is_section(name: str, part: Schema, charts: Sequence[str]) -> bool:
    return "properties" in part and (name in ("global", *charts) or "enabled" in part["properties"])


def _subchart(
    name: str, chart: Path, schema: Schema, part: Schema, names: Sequence[str], defaults: Sequence[Any]
) -> Iterator[str]:
    """A sub-chart has its own section; here are the defaults that its parent changes."""
    yield f"### {names[0]}: {name}\n"
    yield f"{part['description']} Its values stand under `{name}`: see {_link(chart.name)}.\n"
    own = yaml.safe_load((chart / "values.yaml").read_text()) or {}
    changed = [
        value
        for value in _values(schema, part["properties"], (name,))
        if any(
            _default(values, value.path) not in (_NONE, _default(own, value.path[1:])) for values in defaults
        )
    ]
    if changed:
        yield "What has another default here:\n"
        yield _table(changed, names, defaults)


def _groups(section: str, values: Sequence[Value]) -> Iterator[tuple[str, list[Value]]]:
    """Titles and values of a section's tables."""
    starts = GROUPS.get(section)
    if starts is None:
        yield section, list(values)
        return
    at = [index for index, value in enumerate(values) if value.path[1:] in {(name,) for name in starts}]
    if [values[index].path[1] for index in at] != list(starts) or at[0] != 0:
        raise SystemExit(f"GROUPS of {section} do not fit the schema: {', '.join(starts)}")
    for title, start, end in zip(starts.values(), at, [*at[1:], len(values)], strict=True):
        yield title, list(values[start:end])


def _values(root: Schema, properties: Schema, path: tuple[str, ...]) -> Iterator[Value]:
    """Values in the schema's order; an object with known names gives those, old names come last."""
    resolved = {name: _resolved(root, part) for name, part in properties.items()}
    for name, part in sorted(resolved.items(), key=lambda item: bool(item[1].get("deprecated"))):
        if "properties" in part:
            yield from _values(root, part["properties"], (*path, name))
        else:
            yield Value((*path, name), part)


def _resolved(root: Schema, part: Schema) -> Schema:
    if "$ref" not in part:
        return part
    target = root
    for name in part["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    return {**_resolved(root, target), **part}


def _table(values: Sequence[Value], charts: Sequence[str], defaults: Sequence[Any]) -> str:
    """A Markdown table. The other charts that share it have a column where a default is not the first's."""
    found = [[_shown(_default(chart, value.path)) for value in values] for chart in defaults]
    others = [i for i in range(1, len(charts)) if found[i] != found[0]]
    same = len({value.path[0] for value in values}) == 1 and all(len(value.path) > 1 for value in values)
    rows = [
        [
            f"under `{values[0].path[0]}`" if same else "value",
            "default",
            *(f"in {charts[i]}" for i in others),
            "meaning",
            "allowed",
        ],
        ["---"] * (4 + len(others)),
    ]
    for row, value in enumerate(values):
        old = " (old)" if value.schema.get("deprecated") else ""
        rows.append(
            [
                f"`{'.'.join(value.path[1 if same else 0 :])}`{old}",
                found[0][row],
                *(found[i][row] if found[i][row] != found[0][row] else "" for i in others),
                _meaning(value.schema, [chart[row] for chart in found]),
                _type(value.schema),
            ]
        )
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


_NONE = object()


def _default(values: Any, path: Sequence[str]) -> Any:
    """The default of a value; _NONE where the file does not name it."""
    for name in path:
        if not isinstance(values, dict) or name not in values:
            return _NONE
        values = values[name]
    return values


def _meaning(schema: Schema, defaults: Sequence[str]) -> str:
    """The description, and an example that is no default."""
    text = str(schema["description"]).replace("<", "&lt;")
    shown = {"", *defaults, _shown(""), _shown(None)}
    example = next((item for item in map(_shown, schema.get("examples", [])) if item not in shown), "")
    return f"{text} For example {example}." if example and "enum" not in schema else text


def _type(schema: Schema) -> str:
    """Allowed values: those of an enum, or the types with their limits."""
    if "enum" in schema:
        options = [option for option in schema["enum"] if option not in ("", None)]
        if True in options and False in options:
            return "true or false"
        # Of info and INFO the first.
        unique = {str(option).lower(): _shown(option) for option in reversed(options)}
        return ", ".join(reversed(unique.values()))
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    name = schema.get("$ref", "").rpartition("/")[2]
    text = NAMED.get(name) or " or ".join(TYPES[kind] for kind in kinds if kind != "null")
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        text += f", {low} to {high}"
    elif low is not None:
        text += f", at least {low}"
    return text


def _shown(value: Any) -> str:
    """A value as one writes it in a values file; nothing where there is none."""
    if value is _NONE:
        return ""
    if not isinstance(value, str):
        return f"`{json.dumps(value)}`"
    if value and _read(value) == value:
        return f"`{value}`"
    return f"`'{value}'`" if '"' in value else f'`"{value}"`'


def _read(text: str) -> Any:
    """What YAML makes of a text without quotes."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


if __name__ == "__main__":
    sys.exit(generated.main(__doc__, lambda: {PAGE: page(ROOT / "charts")}))
