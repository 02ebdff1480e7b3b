"""Finding the files that an annotation file names."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from mrc_cli.suggestions import nearest

from mrc_train.data.annotations import DataError


def image_files(directory: Path, names: Sequence[str], annotation_file: Path) -> tuple[list[str], list[str]]:
    """The path of each named image, relative to the split's directory, and notes for the log.

    Names with backslashes, with the split's directory as a prefix or with URL escapes are resolved where that
    gives a file, with a note. Each directory is listed once: checking 118,000 files one by one
    takes minutes on a network file system.

    Raises:
        DataError: when images are missing; it names the most similar file.
    """
    if not directory.is_dir():
        raise DataError(f"{directory}: directory not found; {annotation_file.name} needs its images there")
    listings: dict[str, set[str]] = {}

    def exists(name: str) -> bool:
        parent, base = os.path.split(name)
        if parent not in listings:
            try:
                with os.scandir(directory / parent) as entries:
                    listings[parent] = {entry.name for entry in entries}
            except (OSError, ValueError):
                listings[parent] = set()
        return base in listings[parent]

    files, missing, renamed = [], [], []
    for name in names:
        file = next(filter(exists, _spellings(name, directory.name)), None)
        files.append(file or name)
        if file is None:
            missing.append(name)
        elif file != name:
            renamed.append((name, file))
    if missing:
        parent, base = os.path.split(missing[0])
        similar = nearest(base, listings.get(parent, ()))
        hint = f"; did you mean {similar}?" if similar else ""
        raise DataError(
            f"{directory}: {len(missing)} of {len(names)} images in {annotation_file} are missing, such as "
            f"{missing[0]}{hint}"
        )
    notes = [
        f"{len(renamed)} file names are read differently, such as {name} as {file}"
        for name, file in renamed[:1]
    ]
    return files, notes


def _spellings(name: str, split: str) -> Iterator[str]:
    """The name itself, then what other systems and tools mean by it; none leaves the split's directory."""
    yield name
    for candidate in (name, unquote(name)):
        path = candidate.replace("\\", "/")
        for spelling in (path, path.removeprefix(f"{split}/")):
            if not spelling.startswith("/") and ".." not in spelling.split("/"):
                yield spelling
