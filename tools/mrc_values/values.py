"""The values of a chart under the user's files and flags, with the place that each came from."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrc_values import helm
from mrc_values.documents import Document, read_file
from mrc_values.errors import UsageError
from mrc_values.findings import Finding, Position, Severity, ValuePath, parse_dotted

MISSING = object()


@dataclass
class Values:
    """Merged values of a chart. ``layers`` are its sources, weakest first: defaults, files, flags.

    ``user`` is what the files and flags alone say, which is what Helm wants to be given.
    """

    merged: dict[str, Any]
    user: dict[str, Any] = field(default_factory=dict)
    layers: list[Document] = field(default_factory=list)

    def get(self, name: str) -> Any:
        """The value of a dotted name; None where there is none."""
        found = lookup(self.merged, parse_dotted(name))
        return None if found is MISSING else found

    def text(self, name: str) -> str:
        """A value that is a string; empty where it is not."""
        value = self.get(name)
        return value if isinstance(value, str) else ""

    def integer(self, name: str) -> int | None:
        """A value that is a whole number; None where it is not (the schema's finding, not a rule's)."""
        value = self.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, name: str) -> bool | None:
        """A value that is true or false, or the text 'True' or 'False' as the tutorial has it."""
        value = self.get(name)
        if isinstance(value, bool):
            return value
        return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None

    def given(self, name: str) -> bool:
        """Whether the user's files or flags set the name, rather than the chart's defaults."""
        return lookup(self.user, parse_dotted(name)) is not MISSING

    def written(self, name: str) -> str | None:
        """The text of a value without quotes, as the user wrote it; None for one in quotes or from a flag."""
        path = parse_dotted(name)
        layer = next((layer for layer in reversed(self.layers) if path in layer.places), None)
        return layer.texts.get(path) if layer else None

    def place(self, path: ValuePath) -> Position:
        """Where the value is written: in the strongest layer that has it, else where its parent is."""
        return self._find(path, keys=False)

    def key_place(self, path: ValuePath) -> Position:
        """Where the value's key is written."""
        return self._find(path, keys=True)

    def _find(self, path: ValuePath, keys: bool) -> Position:
        for length in range(len(path), 0, -1):
            for layer in reversed(self.layers):
                places = layer.keys if keys or length < len(path) else layer.places
                if found := places.get(path[:length]):
                    return found
        return Position(self.layers[-1].source, 1, 1) if self.layers else Position("values.yaml", 1, 1)


def load(chart: Path, files: Sequence[Path] = (), sets: Sequence[str] = ()) -> tuple[Values, list[Finding]]:
    """The values of ``chart`` under files and ``--set`` expressions, and what is wrong with their YAML.

    Raises UsageError for a chart or file that is not there and for a malformed ``--set``.
    """
    defaults = _chart_layers(chart)
    given = [read_file(path) for path in files] + [_from_flag(expression) for expression in sets]
    user: dict[str, Any] = {}
    for document in given:
        user = merge(user, document.values, items=document.source.startswith("--set"))
    try:
        merged = helm.merge_values(chart, user)
    except helm.RenderError as error:
        raise UsageError(f"{chart}: not a chart that Helm can load: {error}") from None
    layers = [*defaults, *given]
    return Values(merged, user, layers), [finding for layer in layers for finding in layer.findings]


def merge(below: Any, above: Any, items: bool = False) -> Any:
    """Helm's merge of two sources: mappings key by key, all else replaced, null kept (it deletes a default).

    With ``items`` lists are merged too: ``--set a[1]=x`` comes as ``[None, "x"]`` and changes one item.
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


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was probably meant to be."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def _chart_layers(chart: Path) -> list[Document]:
    """Defaults of the sub-charts, then of the chart itself, which are stronger."""
    if not (chart / "Chart.yaml").is_file():
        raise UsageError(f"{chart}: no chart here (no Chart.yaml). Name the chart's folder.")
    layers = []
    for subchart in sorted((chart / "charts").glob("*/values.yaml")):
        layers.append(_nested(read_file(subchart), subchart.parent.name))
    if (chart / "values.yaml").is_file():
        layers.append(read_file(chart / "values.yaml"))
    return layers


def _nested(document: Document, name: str) -> Document:
    return Document(
        document.source,
        {name: document.values},
        {(name, *path): place for path, place in document.places.items()},
        {(name, *path): place for path, place in document.keys.items()},
        {(name, *path): text for path, text in document.texts.items()},
        document.findings,
    )


def _from_flag(expression: str) -> Document:
    source = f"--set {expression}"
    try:
        values = helm.parse_set(expression)
    except helm.ValuesError as error:
        raise UsageError(
            f"{source}: {error}. Write --set name=value, for instance --set maskrcnn.gpus=16."
        ) from None
    document = Document(source, values)
    for path in _paths(values):
        document.places[path] = document.keys[path] = Position(source)
    if not values:
        document.findings.append(
            Finding(
                Position(source), Severity.ERROR, "MRC001", (), "sets nothing.", "Write --set name=value."
            )
        )
    return document


def _paths(value: Any, path: ValuePath = ()) -> Iterable[ValuePath]:
    if path:
        yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from _paths(child, (*path, key))


def lookup(values: Any, path: ValuePath) -> Any:
    """The value at a path; MISSING where there is none."""
    for part in path:
        if isinstance(values, str):
            return MISSING
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return values
