"""What an upgrade changes: the objects of two manifests, compared; what Secrets hold is never shown."""

import difflib
from collections.abc import Collection
from typing import Any

import yaml

from mrc_values.cluster.objects import Object, at, name, text

HIDDEN = "(hidden)"
_PARTS = ("data", "stringData")


def diff(before: str, after: str) -> str:
    """A unified diff for every object that changes, a line for one that only comes or goes; empty for none.

    An object that goes for one of the same kind that comes is compared with it, as one run with the next.
    """
    old, new = _by_key(before), _by_key(after)
    pairs = [(title, title) for title in old if title in new]
    gone, come = [each for each in old if each not in new], [each for each in new if each not in old]
    for kind in {_kind(title) for title in gone}:
        of_kind = [[title for title in titles if _kind(title) == kind] for titles in (gone, come)]
        if [len(titles) for titles in of_kind] == [1, 1]:
            pairs.append((of_kind[0][0], of_kind[1][0]))
    paired = {title for pair in pairs for title in pair}
    lines = [f"- {title} goes\n" for title in sorted(gone) if title not in paired]
    lines += [f"+ {title} is new\n" for title in sorted(come) if title not in paired]
    return "".join(_one(pair, old[pair[0]], new[pair[1]]) for pair in sorted(pairs)) + "".join(lines)


def _kind(title: str) -> str:
    return title.partition(" ")[0]


def _by_key(manifest: str) -> dict[str, Object]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = (item for item in yaml.load_all(manifest, Loader=loader) if isinstance(item, dict))
    return {_title(item): item for item in found}


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
    """A Secret without what it holds; an entry that changes says so."""
    if item.get("kind") != "Secret":
        return item
    shown: dict[str, Any] = dict(item)
    for part in _PARTS:
        if part in item:
            shown[part] = {key: f"{HIDDEN}, another" if key in changed else HIDDEN for key in at(item, part)}
    return shown


def _changed(old: Object, new: Object) -> set[str]:
    """Entries of a Secret that are in both and not the same."""
    return {
        key
        for part in _PARTS
        for key, value in at(new, part).items()
        if key in at(old, part) and at(old, part)[key] != value
    }


class _Dumper(yaml.SafeDumper):
    """Texts of several lines are written as such, so that a diff shows the line."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def _lines(item: Object) -> list[str]:
    text: str = yaml.dump(item, Dumper=_Dumper, sort_keys=True, width=10_000, allow_unicode=True)
    return text.splitlines(keepends=True)
