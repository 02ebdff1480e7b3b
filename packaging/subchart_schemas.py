"""Write the sub-charts' schemas into their parent's.

Helm does not check the values of a sub-chart that is switched off, and an editor completes from one file: so
the parent's schema has a copy of each, text by text.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

CHARTS = Path(__file__).parents[1] / "charts"
PARENT = CHARTS / "maskrcnn" / "values.schema.json"
SUBCHARTS = ("jupyter", "tensorboard")

# The parent says what is in it.
GLOBAL = '{ "description": "What all charts share; filled by Helm.", "type": "object", "examples": [{}] }'

_DECODER = json.JSONDecoder()


def merged(parent: str, subcharts: dict[str, str]) -> str:
    """The parent's schema with those of its sub-charts, all as text.

    Raises ValueError where two charts define one name of ``$defs`` in two ways.
    """
    for name, schema in subcharts.items():
        parent = _replaced(parent, ("properties", name), _section(schema))
        known = json.loads(parent)["$defs"]
        for definition, start, end in _members(schema, *_span(schema, ("$defs",))):
            if definition not in known:
                last = max(end for _, _, end in _members(parent, *_span(parent, ("$defs",))))
                addition = f',\n    "{definition}": {schema[start:end]}'
                parent = parent[:last] + addition + parent[last:]
            elif known[definition] != json.loads(schema[start:end]):
                raise ValueError(f"{name}: $defs/{definition} is another than in the parent's schema")
    return parent


def _section(schema: str) -> str:
    """A sub-chart's schema as a property of its parent's, four columns further right."""
    schema = _replaced(schema, ("properties", "global"), GLOBAL)
    start, end = _span(schema, ("properties",))
    description = json.dumps(json.loads(schema)["description"])
    lines = [
        "{",
        f'  "description": {description},',
        '  "type": "object",',
        '  "additionalProperties": false,',
        f'  "properties": {schema[start:end]}',
        "}",
    ]
    return "\n".join(lines).replace("\n", "\n    ")


def _replaced(text: str, path: tuple[str, ...], by: str) -> str:
    start, end = _span(text, path)
    return text[:start] + by + text[end:]


def _span(text: str, path: tuple[str, ...]) -> tuple[int, int]:
    """Where the value of a path of keys starts and ends."""
    start, end = 0, len(text)
    for key in path:
        start, end = next((at, to) for name, at, to in _members(text, start, end) if name == key)
    return start, end


def _members(text: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Each key of the object at ``start``, and where its value starts and ends."""
    at = text.index("{", start, end) + 1
    while (at := text.find('"', at, end)) >= 0:
        key, at = _DECODER.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip(": \n"))
        _, to = _DECODER.raw_decode(text, at)
        yield key, at, to
        at = to


def main() -> None:
    schemas = {name: (CHARTS / name / "values.schema.json").read_text() for name in SUBCHARTS}
    try:
        text = merged(PARENT.read_text(), schemas)
    except ValueError as error:
        sys.exit(str(error))
    PARENT.write_text(text)


if __name__ == "__main__":
    main()
