"""Access to Kubernetes objects: plain dicts, in which any field may be missing."""

from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]


def at(data: Any, *path: str) -> dict[str, Any]:
    """The mapping at a path; empty when it does not exist."""
    result = value(data, *path)
    return result if isinstance(result, dict) else {}


def items(data: Any, *path: str) -> Sequence[Any]:
    """The list at a path; empty when it does not exist."""
    result = value(data, *path)
    return result if isinstance(result, list) else ()


def text(data: Any, *path: str) -> str:
    """The value at a path as a string; empty when it does not exist."""
    result = value(data, *path)
    return "" if result is None else str(result)


def value(data: Any, *path: str) -> Any:
    """The value at a path, or None."""
    for key in path:
        if not isinstance(data, dict):
            return None
        data = data.get(key)
    return data


def name(item: Object) -> str:
    """The name of an object."""
    return text(item, "metadata", "name")


def condition(data: Object, kind: str) -> Object:
    """The condition of a type in an object's status; empty when it does not exist."""
    return next((item for item in items(data, "status", "conditions") if item.get("type") == kind), {})
