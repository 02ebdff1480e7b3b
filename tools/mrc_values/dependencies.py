"""The dependencies of a chart as Helm resolves them: alias, condition, tags; directories and packages."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mrc_cli.findings import parse_dotted

from mrc_values import chart_source

_MISSING = object()


@dataclass(frozen=True)
class Dependency:
    """A chart in ``charts/``.

    Attributes:
        name: the alias, or the chart's name; the section of the parent's values that has its values.
        chart: its directory.
        conditions: dotted names of values of the parent; the first that is a boolean decides.
        tags: names under ``tags`` of the topmost chart; one that is true is enough.
    """

    name: str
    chart: Path
    conditions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def enabled(self, values: Any) -> bool:
        """Whether Helm installs it with these values of the parent."""
        for condition in self.conditions:
            value = _lookup(values, condition)
            if isinstance(value, bool):
                return value
        given = [value for tag in self.tags if isinstance(value := _lookup(values, f"tags.{tag}"), bool)]
        return any(given) if given else True


def find(chart: Path) -> list[Dependency]:
    """The dependencies of the chart in a directory.

    One that Chart.yaml names but ``charts/`` lacks is left out: Helm reports it. One that Chart.yaml does not
    name is always installed.
    """
    charts = {name: directory for directory in _in_charts(chart) if (name := metadata(directory).get("name"))}
    named = [entry for entry in metadata(chart).get("dependencies") or [] if isinstance(entry, dict)]
    dependencies = [
        Dependency(
            str(entry.get("alias") or entry["name"]),
            charts[entry["name"]],
            tuple(part for part in str(entry.get("condition") or "").split(",") if part),
            tuple(entry.get("tags") or ()),
        )
        for entry in named
        if entry.get("name") in charts
    ]
    others = charts.keys() - {entry.get("name") for entry in named}
    return dependencies + [Dependency(name, charts[name]) for name in sorted(others)]


def _in_charts(chart: Path) -> Iterator[Path]:
    for entry in sorted((chart / "charts").glob("*")):
        if (entry / "Chart.yaml").is_file():
            yield entry
        elif entry.is_file() and chart_source.is_packaged(entry.name):
            yield chart_source.directory(str(entry), None)


def metadata(chart: Path) -> dict[str, Any]:
    """The chart's Chart.yaml; empty if it cannot be read, which Helm reports."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load((chart / "Chart.yaml").read_bytes(), Loader=loader)  # noqa: S506 (safe)
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _lookup(values: Any, name: str) -> Any:
    for part in parse_dotted(name):
        values = values.get(part, _MISSING) if isinstance(values, dict) else _MISSING
    return values
