"""The changes that an upgrade makes, as a diff of two manifests; the content of Secrets is never shown."""

import difflib
from collections.abc import Collection
from typing import Any

import yaml

from mrc_values.cluster.objects import Object, at, name, text

HIDDEN = "(hidden)"
_PARTS = ("data", "stringData")


def diff(before: str, after: str) -> str:
    """A unified diff for each changed object, and a line for each added or removed one.

    If exactly one object of a kind is removed and one is added, such as the MPIJob of another run, the two
    are compared.
    """
    old, new = _by_key(before), _by_key(after)
    pairs = [(title, title) for title in old if title in new]
    removed, added = [item for item in old if item not in new], [item for item in new if item not in old]
    for kind in {_kind(title) for title in removed}:
        of_kind = [[title for title in titles if _kind(title) == kind] for titles in (removed, added)]
        if [len(titles) for titles in of_kind] == [1, 1]:
            pairs.append((of_kind[0][0], of_kind[1][0]))
    paired = {title for pair in pairs for title in pair}
    lines = [f"- {title} is removed\n" for title in sorted(removed) if title not in paired]
    lines += [f"+ {title} is added\n" for title in sorted(added) if title not in paired]
    return "".join(_one(pair, old[pair[0]], new[pair[1]]) for pair in sorted(pairs)) + "".join(lines)


def _kind(title: str) -> str:
    return title.partition(" ")[0]


def _by_key(manifest: str) -> dict[str, Object]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects = (item for item in yaml.load_all(manifest, Loader=loader) if isinstance(item, dict))
    return {_title(item): item for item in objects}


def _title(item: Object) -> str:
    namespace = text(item, "metadata", "namespace")
    return f"{item.get('kind')} {namespace}/{name(item)}" if namespace else f"{item.get('kind')} {name(item)}"


def _one(titles: tuple[str, str], old: Object, new: Object) -> str:
    lines = difflib.unified_diff(
        _lines(_hidden(old, ())),
        _lines(_hidden(new, _changed(old, new))),
        f"live: {titles[0]}",
        f"new: {titles[1]}",
        n=2,
    )
    return "".join(lines)


def _hidden(item: Object, changed: Collection[str]) -> Object:
    """A Secret with its values hidden; changed values are marked."""
    if item.get("kind") != "Secret":
        return item
    shown: dict[str, Any] = dict(item)
    for part in _PARTS:
        if part in item:
            shown[part] = {key: f"{HIDDEN}, changed" if key in changed else HIDDEN for key in at(item, part)}
    return shown


def _changed(old: Object, new: Object) -> set[str]:
    """Keys of a Secret whose values differ in both versions."""
    return {
        key
        for part in _PARTS
        for key, value in at(new, part).items()
        if key in at(old, part) and at(old, part)[key] != value
    }


class _Dumper(yaml.SafeDumper):
    """Writes strings of several lines as blocks, so that a diff shows single lines."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def _lines(item: Object) -> list[str]:
    text: str = yaml.dump(item, Dumper=_Dumper, sort_keys=True, width=10_000, allow_unicode=True)
    return text.splitlines(keepends=True)
