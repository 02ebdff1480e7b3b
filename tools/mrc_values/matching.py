"""Whether a value surely matches a JSON schema.

Most values match. Importing jsonschema and letting it say so takes longer than rendering the chart, so it is
asked only about values that do not surely match: its errors are what findings are made of. The keywords here
are those of the charts' and of Kubernetes' schemas.
"""

import re
from collections.abc import Callable, Mapping, Sized
from functools import cache
from typing import Any

_Check = Callable[[Any, Any, "dict[str, Any]", Any], bool]

KUBERNETES = "/api/_definitions.json"
"""The document that the schemas of Kubernetes' kinds refer to."""

_ANNOTATIONS = ("$schema", "$defs", "title", "description", "examples", "default", "deprecated", "format")
"""Keywords that reject nothing, beside those of Kubernetes, which start with x-kubernetes-."""


class _UnknownError(Exception):
    """A keyword, or a form of one, that is left to jsonschema."""


def surely_matches(value: Any, schema: Mapping[str, Any], definitions: Any) -> bool:
    """Whether ``value`` matches ``schema``; False also if the schema has keywords that are not known here.

    ``definitions`` is the document that a ``$ref`` refers to: the schema itself or Kubernetes' definitions.
    """
    # An inner $id, which changes what references mean, is unknown.
    without_id = {keyword: wanted for keyword, wanted in schema.items() if keyword != "$id"}
    try:
        return _matches(value, without_id, definitions)
    except _UnknownError:
        return False


@cache
def pattern(expression: str) -> re.Pattern[str]:
    """A schema's pattern, ending where Helm's does: in Python, $ also matches before a final line feed."""
    return re.compile(re.sub(r"\$$", r"\\Z", expression))


def _matches(value: Any, schema: Any, definitions: Any) -> bool:
    if isinstance(schema, bool):
        return schema
    for keyword, wanted in schema.items():
        if check := _CHECKS.get(keyword):
            if not check(value, wanted, schema, definitions):
                return False
        elif keyword not in _ANNOTATIONS and not keyword.startswith("x-kubernetes-"):
            raise _UnknownError(keyword)
    return True


def _is_type(value: Any, kind: str) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return _is_number(value) and (isinstance(value, int) or value.is_integer())
        case "number":
            return _is_number(value)
        case _:
            raise _UnknownError(kind)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _type(value: Any, kinds: Any, *_: Any) -> bool:
    return any(_is_type(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _enum(value: Any, options: Any, *_: Any) -> bool:
    if isinstance(value, dict | list):
        raise _UnknownError("enum")
    return any(value == option and type(value) is type(option) for option in options)


def _pattern(value: Any, expression: str, *_: Any) -> bool:
    return not isinstance(value, str) or bool(pattern(expression).search(value))


def _limit(is_within: Callable[[Any, Any], bool]) -> _Check:
    def check(value: Any, limit: Any, *_: Any) -> bool:
        if isinstance(limit, bool):  # as in draft 4
            raise _UnknownError("limit")
        return not _is_number(value) or is_within(value, limit)

    return check


def _size(kind: type[Sized], is_within: Callable[[int, int], bool]) -> _Check:
    return lambda value, limit, *_: not isinstance(value, kind) or is_within(len(value), limit)


def _required(value: Any, names: Any, *_: Any) -> bool:
    return not isinstance(value, dict) or all(name in value for name in names)


def _properties(value: Any, properties: Any, _: Any, definitions: Any) -> bool:
    return not isinstance(value, dict) or all(
        _matches(item, properties[name], definitions) for name, item in value.items() if name in properties
    )


def _pattern_properties(value: Any, properties: Any, _: Any, definitions: Any) -> bool:
    return not isinstance(value, dict) or all(
        _matches(item, inner, definitions)
        for expression, inner in properties.items()
        for name, item in value.items()
        if re.search(expression, name)
    )


def _additional_properties(value: Any, inner: Any, schema: Mapping[str, Any], definitions: Any) -> bool:
    if not isinstance(value, dict):
        return True
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return all(
        _matches(item, inner, definitions)
        for name, item in value.items()
        if name not in known and not any(re.search(expression, name) for expression in patterns)
    )


def _items(value: Any, inner: Any, _: Any, definitions: Any) -> bool:
    if isinstance(inner, list):  # before draft 2020-12
        raise _UnknownError("items")
    return not isinstance(value, list) or all(_matches(item, inner, definitions) for item in value)


def _one_of(value: Any, alternatives: Any, _: Any, definitions: Any) -> bool:
    return sum(_matches(value, inner, definitions) for inner in alternatives) == 1


def _ref(value: Any, reference: str, _: Any, definitions: Any) -> bool:
    document, _, path = reference.partition("#/")
    if document not in ("", KUBERNETES):
        raise _UnknownError(reference)
    target = definitions
    for part in path.split("/"):
        if part not in target:
            raise _UnknownError(reference)
        target = target[part]
    return _matches(value, target, definitions)


_CHECKS: dict[str, _Check] = {
    "type": _type,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _limit(lambda value, limit: value >= limit),
    "maximum": _limit(lambda value, limit: value <= limit),
    "exclusiveMinimum": _limit(lambda value, limit: value > limit),
    "maxLength": _size(str, lambda length, limit: length <= limit),
    "minItems": _size(list, lambda length, limit: length >= limit),
    "maxItems": _size(list, lambda length, limit: length <= limit),
    "minProperties": _size(dict, lambda length, limit: length >= limit),
    "required": _required,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "items": _items,
    "oneOf": _one_of,
    "$ref": _ref,
}
