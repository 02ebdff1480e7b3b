"""Helm in this process, through helm-python-sdk. No other module renders or merges with Helm."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mrc_cli.stderr import filtered_stderr

Values = dict[str, Any]


class ValuesError(ValueError):
    """Helm cannot parse values or a ``--set`` expression."""


class RenderError(ValueError):
    """Helm cannot load or render a chart. ``template`` and ``line`` are the location if Helm reports one."""

    def __init__(self, message: str, template: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.message, self.template, self.line = message, template, line


class PullError(ValueError):
    """Helm cannot download a chart."""


def pull(address: str, version: str | None, to: Path, *, plain_http: bool) -> None:
    """Download the archive of an ``oci://`` chart into a directory. Raises PullError."""
    helm_python = _library()
    with filtered_stderr(lambda line: line.startswith(("Pulled: ", "Digest: "))):
        try:
            helm_python.pull(address, version=version, destination=to, plain_http=plain_http)
        except helm_python.HelmError as error:
            raise PullError(_without_prefixes(error.detail)) from None


def unpack(archive: Path, to: Path) -> None:
    """Unpack the archive of a chart below a directory. Raises RenderError."""
    helm_python = _library()
    try:
        helm_python.expand(to, archive)
    except helm_python.HelmError as error:
        raise RenderError(_without_prefixes(error.detail)) from None


def parse_values(text: str) -> Values:
    """The values of a YAML document, parsed exactly as by ``helm -f``. Raises ValuesError."""
    helm_python = _library()
    try:
        values: Values = helm_python.values_from_yaml(text)
    except helm_python.HelmError as error:
        raise ValuesError(_without_prefixes(error.detail)) from None
    return values


def parse_flag(option: str, expression: str) -> Values:
    """The values of a flag such as ``--set a.b=1,c=x`` or ``--set-json``. Raises ValuesError."""
    helm_python = _library()
    parsers = {
        "--set": helm_python.parse_set_string,
        "--set-string": helm_python.parse_set_string_values,
        "--set-file": helm_python.parse_set_file,
        "--set-json": helm_python.parse_set_json,
    }
    try:
        values: Values = parsers[option](expression)
    except helm_python.HelmError as error:
        raise ValuesError(_without_prefixes(error.detail)) from None
    return values


def check_release_name(name: str) -> None:
    """Raises ValuesError if Helm rejects the name for a release."""
    helm_python = _library()
    try:
        helm_python.validate_release_name(name)
    except helm_python.HelmError as error:
        raise ValuesError(_without_prefixes(error.detail)) from None


def metadata(chart: Path) -> dict[str, Any]:
    """The chart's Chart.yaml. Raises RenderError if Helm cannot load the chart."""
    with _loaded(chart) as handle:
        content: dict[str, Any] = handle.metadata
        return content


def merge_values(chart: Path, values: Values) -> Values:
    """The defaults of the chart and its sub-charts merged with ``values``, as an install would use them.

    Raises RenderError if Helm cannot load the chart, ValuesError if it rejects the values.
    """
    helm_python = _library()
    with _loaded(chart) as handle:
        try:
            merged: Values = handle.merge_values(values)
        except helm_python.HelmError as error:
            raise ValuesError(_without_prefixes(error.detail)) from None
        return merged


def render(chart: Path, values: Values, name: str, namespace: str = "default") -> dict[str, str]:
    """Rendered text by template path, NOTES included. Raises RenderError.

    The chart is loaded for this one render: rendering changes a loaded chart.
    """
    helm_python = _library()
    with _loaded(chart) as handle:
        try:
            rendered: dict[str, str] = handle.render(values, name=name, namespace=namespace)
            return rendered
        except helm_python.HelmError as error:
            raise _render_error(error.detail) from None


_GO = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}
"""Settings of the library's Go runtime: no garbage collection below a limit that few charts reach. It would
take a tenth of the time of a render."""


@cache
def _library() -> ModuleType:
    """The package helm_python. Its Go runtime reads the settings when it is loaded; other programs do not."""
    before = {name: os.environ.get(name) for name in _GO}
    os.environ.update(_GO)
    try:
        import helm_python
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    return helm_python


@contextmanager
def _loaded(chart: Path) -> Iterator[Any]:
    helm_python = _library()
    with filtered_stderr(lambda line: any(notice in line for notice in _NOTICES)):
        try:
            handle = helm_python.Chart.load(chart)
        except helm_python.HelmError as error:
            raise RenderError(_without_prefixes(error.detail)) from None
        with handle:
            yield handle


_NOTICES = (
    "found symbolic link in path",  # for every linked sub-chart
    "cannot overwrite table with non table",  # reported by check.py
    "Ignoring non-table value",  # reported by the schema
    "skipped value for",  # the same for a sub-chart
    "skipping globals because destination",  # reported by check.py
)


_LOCATION = re.compile(
    r"^(?:template: |parse error at \(|execution error at \()([^:()]+):(\d+)(?::\d+)?\)?: "
)


def _render_error(detail: str) -> RenderError:
    """Helm's message without the chain of including templates.

    ``execution error at (maskrcnn/templates/x.yaml:3:5): text`` -> text, maskrcnn/templates/x.yaml, 3.
    """
    template, line = "", 0
    while match := _LOCATION.match(detail):
        template, line = match[1], int(match[2])
        detail = detail[match.end() :]
        detail = re.sub(r'^executing "[^"]*" at <.*?>: (?=.)', "", detail)
        detail = re.sub(r"^error calling \w+: ", "", detail)
    return RenderError(_without_prefixes(detail), template, line)


def _without_prefixes(detail: str) -> str:
    detail = re.sub(
        r"^(error (converting|unmarshaling) \w+( to \w+)?: |while decoding JSON: |json: )+", "", detail
    )
    return " ".join(detail.split()).rstrip(".")
