"""Reading Kubernetes objects as the API server sends them: plain dicts, in which anything may be missing."""

from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]


def at(thing: Any, *path: str) -> dict[str, Any]:
    """The map at a path, empty when there is none."""
    found = value(thing, *path)
    return found if isinstance(found, dict) else {}


def items(thing: Any, *path: str) -> Sequence[Any]:
    """The list at a path, empty when there is none."""
    found = value(thing, *path)
    return found if isinstance(found, list) else ()


def text(thing: Any, *path: str) -> str:
    """The text at a path, empty when there is none."""
    found = value(thing, *path)
    return "" if found is None else str(found)


def value(thing: Any, *path: str) -> Any:
    """Whatever is at a path; None when there is nothing."""
    for key in path:
        if not isinstance(thing, dict):
            return None
        thing = thing.get(key)
    return thing


def name(thing: Object) -> str:
    """An object's name."""
    return text(thing, "metadata", "name")


def condition(thing: Object, kind: str) -> Object:
    """The condition of a type in an object's status, empty when there is none."""
    return next((each for each in items(thing, "status", "conditions") if each.get("type") == kind), {})
