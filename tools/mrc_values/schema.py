"""Validation against the chart's JSON schema (draft 2020-12), with findings that name a fix."""

import json
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from mrc_cli.findings import Finding, Severity, ValuePath, dotted
from mrc_cli.suggestions import nearest

from mrc_values import former_charts
from mrc_values.matching import pattern, surely_matches
from mrc_values.values import Values, paths

FILE = "values.schema.json"

Schema = dict[str, Any]

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


_FORMATS = (
    *("rfc3987_syntax", "rfc3987", "isoduration", "rfc3339_validator", "rfc3986_validator", "webcolors"),
    *("jsonpointer", "uri_template", "fqdn", "idna"),
)
"""Optional packages that jsonschema uses to check formats."""


def jsonschema() -> ModuleType:
    """The library, without the format checkers that Jupyter installs.

    They take 0.8 s to import, because a grammar is compiled, and no format is checked here.
    """
    slow = [name for name in _FORMATS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(slow))  # type: ignore[arg-type]
    try:
        import jsonschema as library
    finally:
        for name in slow:
            del sys.modules[name]
    return library


def check(schema: Schema, values: Values) -> list[Finding]:
    """Findings of a chart's schema."""
    if surely_matches(values.merged, schema, schema):
        return list(_deprecated(schema, values))
    result: list[Finding] = []
    for error in _validator(schema).iter_errors(values.merged):
        result += _findings(error, schema, values)
    return [*result, *_deprecated(schema, values)]


def _validator(schema: Schema) -> Any:
    """A validator whose patterns end where Helm's do."""
    library = jsonschema()

    def check_pattern(validator: Any, expression: str, instance: Any, schema: Schema) -> Iterator[Any]:
        if isinstance(instance, str) and not pattern(expression).search(instance):
            yield library.ValidationError(f"{instance!r} does not match {expression!r}")

    draft = library.validators.validator_for(schema, default=library.Draft202012Validator)
    return library.validators.extend(draft, {"pattern": check_pattern})(schema)


def _findings(error: Any, schema: Schema, values: Values) -> Iterator[Finding]:
    """Findings of one schema error; of several alternatives, those of the best match."""
    if error.context:
        yield from _findings(jsonschema().exceptions.best_match([error]), schema, values)
        return
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and error.validator_value is False:
        known = error.schema.get("properties", {})
        patterns = error.schema.get("patternProperties", {})
        for name in error.instance:
            if name not in known and not any(re.search(pattern, name) for pattern in patterns):
                if patterns:
                    fix, message = _fix(subschema(schema, path)), "the key does not have the right format."
                    position = values.position((*path, name), key=True)
                    yield Finding(position, Severity.ERROR, "MRC003", (*path, name), message, fix)
                else:
                    yield _unknown(name, known, path, _homes(name, path, schema), values)
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                position = values.position((*path, name))
                fix = _fix(subschema(schema, (*path, name)))
                yield Finding(position, Severity.ERROR, "MRC005", (*path, name), "is missing.", fix)
    else:
        rule = "MRC009" if error.validator == "pattern" else "MRC004"
        fix = _quotes(error) or _fix(subschema(schema, path))
        yield Finding(values.position(path), Severity.ERROR, rule, path, _message(error), fix)


def _homes(name: str, path: ValuePath, schema: Schema) -> list[str]:
    """The sections that an unknown key at ``path`` belongs under, if that is certain.

    At the top level the section was forgotten. Inside of a section, the key can only belong to the top level
    or to global: a key of the same name in another section has another meaning.
    """
    homes = [other[:-1] for other in leaf_paths(schema) if other[-1] == name]
    if path:
        is_section = bool(subschema(schema, (name,)).get("properties"))
        return [dotted(home) for home in homes if home == ("global",) or (home == () and is_section)]
    return [dotted(home) for home in homes if len(home) == 1]


def _unknown(name: str, known: Any, path: ValuePath, homes: list[str], values: Values) -> Finding:
    close = None
    if name != name.strip() or "\xa0" in name:
        fix = "It starts with a no-break space. Indent with plain spaces."
    elif "maskrcnn" in known and (hint := former_charts.hint(name, values.get(name))):
        fix = hint
    elif close := nearest(name, known):
        fix = f"Did you mean {close}?"
    elif 1 <= len(homes) <= 3:
        section = " or ".join(homes)
        fix = f"It belongs under {section}." if section else "It belongs at the top level of the file."
    elif known:
        fix = f"Known keys: {', '.join(known)}." if len(known) < 12 else f"{FILE} lists all of them."
    else:
        fix = "Remove it."
    where = dotted(path) if path else "the chart"
    full = (*path, name)
    position, message = values.position(full, key=True), f"unknown key in {where}."
    meant = (*path, close) if close else None
    return Finding(position, Severity.ERROR, "MRC003", full, message, fix, meant)


def _message(error: Any) -> str:
    value = shown(error.instance)
    limit = error.validator_value
    match error.validator:
        case "type":
            kinds = [_TYPES[kind] for kind in _listed(limit) if kind != "null"]
            return f"{value} is not {' or '.join(kinds)}."
        case "enum":
            options = [option for option in limit if option not in (None, "")]
            meant = (
                nearest(error.instance, [str(option) for option in options])
                if _is_text(error.instance)
                else None
            )
            hint = f" Did you mean {meant}?" if meant else ""
            return f"{value} is not one of {', '.join(map(shown, options))}.{hint}"
        case "minimum":
            return f"{value} is less than {limit}."
        case "exclusiveMinimum":
            return f"{value} is not more than {limit}."
        case "maximum":
            return f"{value} is more than {limit}."
        case "maxLength":
            return f"{value} has {len(error.instance)} characters, at most {limit} are allowed."
        case "pattern":
            return f"{value} does not have the right format."
        case "minItems" | "maxItems":
            bound = "at least" if error.validator == "minItems" else "at most"
            return f"{value} has {len(error.instance)} items; {bound} {limit} are allowed."
        case "uniqueItems":
            return f"{value} has a duplicate item."
        case _:
            return f"{value}: {error.message}."


def _quotes(error: Any) -> str:
    """The fix for a number or boolean in quotes, and for a string without."""
    if error.validator != "type":
        return ""
    wanted, value = set(_listed(error.validator_value)), error.instance
    if isinstance(value, bool | int | float) and "string" in wanted:
        return f'Put it in quotes: "{shown(value)}".'
    if not isinstance(value, str) or len(value) > 15:
        return ""  # Helm converts a number that it cannot represent to a string
    if {"integer", "number"} & wanted and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return f"Write it without quotes: {value}."
    if "boolean" in wanted and value.lower() in ("true", "false"):
        return f"Write it without quotes: {value.lower()}."
    return ""


def _listed(kinds: str | list[str]) -> list[str]:
    return [kinds] if isinstance(kinds, str) else kinds


def _fix(schema: Schema) -> str:
    """The description of the value and an example, from the schema."""
    description = str(schema.get("description", "")).rstrip(".")
    examples = [shown(example) for example in schema.get("examples", []) if example not in ("", None)]
    example = f" For example {examples[0]}." if examples else ""
    return f"{description}.{example}" if description else example.strip()


def shown(value: Any) -> str:
    """A value as JSON on one line, shortened if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def subschema(schema: Schema, path: ValuePath) -> Schema:
    """The schema of one value; a $ref is merged with the keywords next to it, which take precedence."""
    here = _resolved(schema, schema)
    for part in path:
        if isinstance(part, int):
            inner = here.get("items", {})
        else:
            patterns = here.get("patternProperties", {}).items()
            matching = (inner for pattern, inner in patterns if re.search(pattern, part))
            inner = here.get("properties", {}).get(part) or next(matching, here.get("additionalProperties"))
        here = _resolved(schema, inner) if isinstance(inner, dict) else {}
    return here


def leaf_paths(schema: Schema, path: ValuePath = ()) -> Iterator[ValuePath]:
    """Paths of all values that the schema defines."""
    for name in subschema(schema, path).get("properties", {}):
        yield (*path, name)
        yield from leaf_paths(schema, (*path, name))


def _resolved(root: Schema, schema: Schema) -> Schema:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return schema
    target: Any = root
    for part in reference[2:].split("/"):
        target = target.get(part, {})
    return {**_resolved(root, target), **schema}


def _deprecated(schema: Schema, values: Values) -> Iterator[Finding]:
    for path in paths(values.user):
        described = subschema(schema, path)
        if described.get("deprecated") and values.get(dotted(path)) not in (None, ""):
            position, description = values.position(path, key=True), described.get("description", "")
            yield Finding(position, Severity.INFO, "MRC008", path, "is deprecated.", description)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
