"""Access to Kubernetes objects: plain dicts, in which any field may be missing."""

from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]


def at(thing: Any, *path: str) -> dict[str, Any]:
    """The mapping at a path; empty when it does not exist."""
    result = value(thing, *path)
    return result if isinstance(result, dict) else {}


def items(thing: Any, *path: str) -> Sequence[Any]:
    """The list at a path; empty when it does not exist."""
    result = value(thing, *path)
    return result if isinstance(result, list) else ()


def text(thing: Any, *path: str) -> str:
    """The value at a path as a string; empty when it does not exist."""
    result = value(thing, *path)
    return "" if result is None else str(result)


def value(thing: Any, *path: str) -> Any:
    """The value at a path, or None."""
    for key in path:
        if not isinstance(thing, dict):
            return None
        thing = thing.get(key)
    return thing


def name(thing: Object) -> str:
    """The name of an object."""
    return text(thing, "metadata", "name")


def condition(thing: Object, kind: str) -> Object:
    """The condition of a type in an object's status; empty when it does not exist."""
    return next((item for item in items(thing, "status", "conditions") if item.get("type") == kind), {})
