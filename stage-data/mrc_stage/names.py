"""Names of members, checked before the first file is written."""

import re
from collections.abc import Iterable, Iterator

from mrc_stage.errors import WrongData

MAX_COMPONENT = 255
"""Bytes of one component, the limit of ext4, NFS and Lustre alike."""

_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
"""S3 lists keys in XML 1.0, which has no such characters."""

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Bytes of a file's name that are not UTF-8, as Python reads them."""


def problems(names: Iterable[str]) -> Iterator[str]:
    """What is wrong with the names of files that are to be written into one directory, one line each.

    Two names that differ only in case are a problem too: some clients of the file system would mix them up.
    """
    known: dict[str, str] = {}
    directories: dict[str, str] = {}
    for name in names:
        if reason := _unsafe(name):
            yield f"{name!r} {reason}"
            continue
        if twin := known.get(name.casefold()):
            yield f"{name!r} occurs twice" if twin == name else f"{name!r} and {twin!r} differ only in case"
            continue
        known[name.casefold()] = name
        parent = name.rpartition("/")[0]
        while parent and parent not in directories:
            directories[parent] = name
            parent = parent.rpartition("/")[0]
    for directory, name in directories.items():
        if (file := known.get(directory.casefold())) == directory:
            yield f"{file!r} is a file, and a directory for {name!r}"


def check(where: str, names: Iterable[str], purpose: str = "staged") -> None:
    """Raises WrongData that lists what is wrong with the names."""
    if wrong := list(problems(names)):
        raise WrongData(f"{where}: names that cannot be {purpose}: {'; '.join(wrong[:10])}.")


def unlistable(text: str) -> str:
    """Why S3 cannot list a key with this text; empty if it can."""
    if _CONTROL.search(text):
        return "contains a control character"
    return "is not UTF-8" if _SURROGATE.search(text) else ""


def _unsafe(name: str) -> str:
    parts = name.split("/")
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        return "is absolute"
    if "\\" in name or "\0" in name:
        return "contains a backslash or a zero byte"
    if reason := unlistable(name):
        return reason
    if "" in parts or "." in parts or ".." in parts:
        return "has an empty component, . or .."
    if any(len(part.encode()) > MAX_COMPONENT for part in parts):
        return f"has a component of more than {MAX_COMPONENT} bytes"
    return "begins with .mrc-, which staging uses itself" if parts[0].startswith(".mrc-") else ""
