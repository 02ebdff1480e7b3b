"""SageMaker's API as botocore describes it: shapes of requests, and what they reject.

botocore itself checks types and required members before it sends a request; lengths, patterns and
enumerations are in the same description, but only the service checks them.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from mrc_cli.errors import UserError

Request = Mapping[str, Any]


class Problem(NamedTuple):
    """What is wrong with a member of a request, such as ``ResourceConfig.InstanceType``."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@cache
def model() -> Any:
    """The description of the API."""
    try:
        from botocore.session import get_session
    except ImportError:
        raise UserError("boto3 is not installed. Install the extra aws of mask-rcnn-on-kubernetes.") from None
    return get_session().get_service_model("sagemaker")


def shape(operation: str) -> Any:
    """The shape of an operation's request."""
    return model().operation_model(operation).input_shape


def problems(operation: str, request: Request) -> list[Problem]:
    """Everything that the service would reject in a request."""
    return list(_check(shape(operation), request, ""))


def _check(shape: Any, value: Any, path: str) -> Iterator[Problem]:
    kind, limits = shape.type_name, shape.metadata
    if kind == "structure":
        yield from _check_structure(shape, value, path)
    elif kind == "list":
        if not isinstance(value, list):
            yield Problem(path, "is not a list")
            return
        yield from _check_range(len(value), limits, path, "entries")
        for number, item in enumerate(value):
            yield from _check(shape.member, item, f"{path}[{number}]")
    elif kind == "map":
        if not isinstance(value, dict):
            yield Problem(path, "is not a map")
            return
        yield from _check_range(len(value), limits, path, "entries")
        for key, item in value.items():
            yield from _check(shape.key, key, f"{path}.{key}")
            yield from _check(shape.value, item, f"{path}.{key}")
    elif kind == "string":
        yield from _check_string(value, limits, path)
    elif kind in ("integer", "long", "float", "double"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield Problem(path, f"{value!r} is not a number")
            return
        yield from _check_range(value, limits, path, "")
    elif kind == "boolean" and not isinstance(value, bool):
        yield Problem(path, f"{value!r} is not true or false")


def _check_structure(shape: Any, value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, "is not a structure")
        return
    prefix = f"{path}." if path else ""
    for name in shape.required_members:
        if name not in value:
            yield Problem(f"{prefix}{name}", "is required")
    for name, item in value.items():
        if name in shape.members:
            yield from _check(shape.members[name], item, f"{prefix}{name}")
        else:
            yield Problem(f"{prefix}{name}", "is no member of this request")


def _check_string(value: Any, limits: Mapping[str, Any], path: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem(path, f"{value!r} is not a string")
        return
    yield from _check_range(len(value), limits, path, "characters")
    if "enum" in limits and value not in limits["enum"]:
        yield Problem(path, f"{value} is not one of the {len(limits['enum'])} values that SageMaker knows")
    pattern = limits.get("pattern", "")
    # Java's classes of Unicode characters are not Python's; only tags and descriptions use them.
    if pattern and "\\p{" not in pattern and not re.fullmatch(pattern, value, re.DOTALL):
        yield Problem(path, f"{value} does not match {pattern}")


def _check_range(number: float, limits: Mapping[str, Any], path: str, unit: str) -> Iterator[Problem]:
    amount = f"{number} {unit}".strip()
    if "min" in limits and number < limits["min"]:
        yield Problem(path, f"{amount}, at least {limits['min']} are required")
    if "max" in limits and number > limits["max"]:
        yield Problem(path, f"{amount}, at most {limits['max']} are allowed")
