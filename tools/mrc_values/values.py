"""The values of a chart merged with the user's files and flags, with the position of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mrc_cli.errors import UsageError
from mrc_cli.findings import Finding, Position, Severity, ValuePath, parse_dotted

from mrc_values import catalogue, dependencies, helm
from mrc_values.catalogue import Catalogue
from mrc_values.chart_links import check_links
from mrc_values.dependencies import Dependency
from mrc_values.documents import Document, read_file

MISSING = object()


@dataclass(frozen=True)
class Flag:
    """A flag of Helm that sets values, such as ``--set-string maskrcnn.run=7``."""

    option: str
    expression: str

    def __str__(self) -> str:
        return f"{self.option} {self.expression}"


@dataclass
class Values:
    """Merged values of a chart.

    Attributes:
        merged: what the templates see.
        user: the merged files and flags of the user, which is the input that Helm expects.
        defaults: the chart's own sources, in ascending precedence.
        given: the user's files and flags, in ascending precedence.
        catalogue: the tables in the chart's files/common/.
        dependencies: of the chart.
    """

    merged: dict[str, Any]
    user: dict[str, Any] = field(default_factory=dict)
    defaults: list[Document] = field(default_factory=list)
    given: list[Document] = field(default_factory=list)
    catalogue: Catalogue = field(default_factory=Catalogue)
    dependencies: Sequence[Dependency] = ()

    def get(self, name: str) -> Any:
        """The value of a dotted name; None if it is not set."""
        result = lookup(self.merged, parse_dotted(name))
        return None if result is MISSING else result

    def text(self, name: str) -> str:
        """The value if it is a string, else an empty string."""
        value = self.get(name)
        return value if isinstance(value, str) else ""

    def integer(self, name: str) -> int | None:
        """The value if it is an integer, else None: the schema reports wrong types, not the rules."""
        value = self.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, name: str) -> bool | None:
        """The value if it is a boolean, or the string 'True' or 'False' as in the tutorial; else None."""
        value = self.get(name)
        if isinstance(value, bool):
            return value
        return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None

    def sets(self, name: str) -> bool:
        """Whether the user's files or flags set the value, not only the chart's defaults."""
        return lookup(self.user, parse_dotted(name)) is not MISSING

    def written(self, name: str) -> str | None:
        """The original text of a value without quotes; None for a value in quotes or from a flag."""
        path = parse_dotted(name)
        layer = next((layer for layer in reversed(self.given) if path in layer.positions), None)
        return layer.texts.get(path) if layer else None

    def position(self, path: ValuePath, key: bool = False) -> Position:
        """The position of a value (or its key) in the source that takes precedence.

        The position of a default is where the user would change it: the innermost section in the user's last
        file, or the chart's own file if there is none.
        """
        for document in reversed(self.given):
            if position := (document.keys if key else document.positions).get(path):
                return position
        files = [document for document in self.given if document.is_file]
        if files:
            return files[-1].nearest(path)
        for document in reversed(self.defaults):
            if position := (document.keys if key else document.positions).get(path):
                return position
        return self.defaults[-1].nearest(path)


def load(
    chart: Path, files: Sequence[Path] = (), sets: Sequence[str | Flag] = ()
) -> tuple[Values, list[Finding]]:
    """The values of ``chart`` merged with files and ``--set`` expressions, and the errors in their YAML.

    Raises UsageError if the chart or a file does not exist and for a malformed ``--set``.
    """
    _check_chart(chart)
    given = [read_file(path) for path in files] + [_from_flag(flag) for flag in sets]
    user: dict[str, Any] = {}
    for document in given:
        user = merge(user, document.values, items=not document.is_file)
    loaded = of(chart, given, user)
    return loaded, [finding for document in (*loaded.defaults, *given) for finding in document.findings]


def of(chart: Path, given: list[Document], user: dict[str, Any]) -> Values:
    """The values of ``chart`` merged with ``user``, the merged values of the sources ``given``.

    Raises UsageError if Helm cannot load the chart or rejects the values.
    """
    installed = dependencies.find(chart)
    user = _without_mistyped_subcharts(installed, user)
    try:
        merged = helm.merge_values(chart, user)
    except helm.RenderError as error:
        raise UsageError(f"{chart}: Helm cannot load this chart: {error}") from None
    except helm.ValuesError as error:
        raise UsageError(f"{chart}: Helm rejects the values: {error}.") from None
    return Values(merged, user, _defaults(chart, installed), given, catalogue.load(chart), installed)


def _without_mistyped_subcharts(installed: Sequence[Dependency], user: dict[str, Any]) -> dict[str, Any]:
    """The user's values without those of sub-charts that are not mappings, such as ``tensorboard: false``.

    Helm rejects them before anything else is checked; check.py reports them.
    """
    subcharts = {dependency.name: dependency.chart for dependency in installed}
    kept = {}
    for name, value in user.items():
        if name in subcharts and isinstance(value, dict):
            kept[name] = _without_mistyped_subcharts(dependencies.find(subcharts[name]), value)
        elif name not in subcharts or value is None:
            kept[name] = value
    return kept


def merge(below: Any, above: Any, items: bool = False) -> Any:
    """Merge two sources as Helm does: mappings by key, anything else replaced, null kept (it deletes a
    default).

    With ``items``, lists are merged too: ``--set a[1]=x`` is parsed as ``[None, "x"]`` and changes one item.
    """
    if isinstance(below, dict) and isinstance(above, dict):
        shared = {key: merge(below[key], value, items) for key, value in above.items() if key in below}
        return {**below, **above, **shared}
    if items and isinstance(below, list) and isinstance(above, list):
        kept = [
            merge(old, new, items) if new is not None else old for old, new in zip(below, above, strict=False)
        ]
        return kept + (above if len(above) > len(below) else below)[len(kept) :]
    return above


def _check_chart(chart: Path) -> None:
    if not (chart / "Chart.yaml").is_file():
        raise UsageError(f"{chart}: not a chart (no Chart.yaml). Give the directory of a chart.")
    check_links(chart)


def _defaults(chart: Path, installed: Sequence[Dependency]) -> list[Document]:
    """Defaults of the sub-charts, then of the chart itself, which take precedence."""
    documents = []
    for dependency in installed:
        if (file := dependency.chart / "values.yaml").is_file():
            documents.append(_nested(read_file(file), dependency.name))
    own = chart / "values.yaml"
    return [*documents, read_file(own) if own.is_file() else Document(str(own))]


def _nested(document: Document, name: str) -> Document:
    """The values of a sub-chart as its parent sees them."""
    return replace(
        document,
        values={name: document.values},
        positions={(name, *path): position for path, position in document.positions.items()},
        keys={(name, *path): position for path, position in document.keys.items()},
        texts={(name, *path): text for path, text in document.texts.items()},
    )


_EXAMPLES = {
    "--set": "maskrcnn.gpus=16",
    "--set-string": "maskrcnn.run=7",
    "--set-file": "maskrcnn.extra_config=settings.txt",
    "--set-json": 'maskrcnn.env=\'{"NCCL_DEBUG": "INFO"}\'',
}


def _from_flag(flag: str | Flag) -> Document:
    """The values of a flag; a plain string is the expression of ``--set``."""
    flag = Flag("--set", flag) if isinstance(flag, str) else flag
    source = str(flag)
    try:
        values = helm.parse_flag(flag.option, flag.expression)
    except helm.ValuesError as error:
        example = f"{flag.option} {_EXAMPLES[flag.option]}"
        raise UsageError(f"{source}: {error}. Write {flag.option} name=value, such as {example}.") from None
    document = Document(source, values, is_file=False)
    for path in paths(values):
        document.positions[path] = document.keys[path] = Position(source)
    if not values:
        document.findings.append(
            Finding(
                Position(source),
                Severity.ERROR,
                "MRC001",
                (),
                "sets nothing.",
                f"Write {flag.option} name=value.",
            )
        )
    return document


def paths(value: Any, path: ValuePath = ()) -> Iterable[ValuePath]:
    """Paths of all values inside a value, outer ones first."""
    if path:
        yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from paths(child, (*path, key))


def lookup(values: Any, path: ValuePath) -> Any:
    """The value at a path, or MISSING."""
    for part in path:
        if isinstance(values, str):
            return MISSING
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return values
