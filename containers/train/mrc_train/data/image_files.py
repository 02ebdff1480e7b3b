"""Finding the files that an annotation file names."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from mrc_cli.suggestions import nearest

from mrc_train.data.problems import DataError


@dataclass(frozen=True)
class FoundFiles:
    """The files of n named images.

    files: (n) relative to the split's directory, None where no file exists; hint: why the first missing one
    is missing, or empty.
    """

    names: Sequence[str]
    files: Sequence[str | None]
    hint: str

    @property
    def missing(self) -> list[int]:
        """Indices of the images without a file."""
        return [index for index, file in enumerate(self.files) if file is None]

    @property
    def renamed(self) -> list[int]:
        """Indices of the images whose file has another name than the annotation file says."""
        return [
            index
            for index, (name, file) in enumerate(zip(self.names, self.files, strict=True))
            if file not in (None, name)
        ]

    def missing_text(self, where: str = "") -> str:
        """The number of missing images, the first one, and the hint; ``where`` follows "images"."""
        missing = self.missing
        counts = f"{len(missing)} of {len(self.names)} images{where} are missing"
        return f"{counts}, such as {self.names[missing[0]]}{self.hint}"

    def renamed_text(self) -> str:
        """The number of file names that are read differently, and the first one."""
        first = self.renamed[0]
        counts = f"{len(self.renamed)} file names are read differently"
        return f"{counts}, such as {self.names[first]} as {self.files[first]}"


def image_files(directory: Path, names: Sequence[str], annotation_file: Path) -> tuple[list[str], list[str]]:
    """The path of each named image, relative to the split's directory, and notes for the log.

    Raises:
        DataError: when images are missing; it names the most similar file.
    """
    lookup = find_files(directory, names, annotation_file)
    if lookup.missing:
        raise DataError(f"{directory}: {lookup.missing_text(f' in {annotation_file}')}", "MRD010")
    files = [file for file in lookup.files if file is not None]
    return files, [lookup.renamed_text()] if lookup.renamed else []


def find_files(directory: Path, names: Sequence[str], annotation_file: Path) -> FoundFiles:
    """Find each named image in the split's directory.

    Names with backslashes, with the split's directory as a prefix (also of an absolute path) or with URL
    escapes are resolved where that gives a file. Each directory is listed once: checking 118,000 files one by
    one takes minutes on a network file system.

    Raises:
        DataError: when there is no such directory.
    """
    if not directory.is_dir():
        raise DataError(
            f"{directory}: directory not found; {annotation_file.name} needs its images there", "MRD007"
        )
    listings: dict[str, set[str]] = {}

    def listing(parent: str) -> set[str]:
        if parent not in listings:
            try:
                with os.scandir(directory / parent) as entries:
                    listings[parent] = {entry.name for entry in entries}
            except (OSError, ValueError):
                listings[parent] = set()
        return listings[parent]

    def exists(name: str) -> bool:
        parent, base = os.path.split(name)
        return base in listing(parent)

    files = [next(filter(exists, _spellings(name, directory.name)), None) for name in names]
    hint = ""
    if None in files:
        name = names[files.index(None)].replace("\\", "/")
        parent, base = os.path.split(name)
        # What is outside the split's directory is never looked at.
        similar = _similar(base, listing("" if _is_outside(name) else parent)) or _similar(base, listing(""))
        if similar:
            hint = f"; did you mean {similar}?"
        elif not any(listing("")):
            hint = "; the directory is empty"
    return FoundFiles(names, files, hint)


def _similar(name: str, candidates: set[str]) -> str | None:
    """The file that is meant: the same name, another case or extension, or a misspelling."""
    if name in candidates:
        return name
    stem = os.path.splitext(name)[0].casefold()  # noqa: PTH122 (names of any kind)
    same = sorted(other for other in candidates if os.path.splitext(other)[0].casefold() == stem)  # noqa: PTH122
    return same[0] if same else nearest(name, candidates)


def _spellings(name: str, split: str) -> Iterator[str]:
    """The name itself, then what other systems and tools mean by it; none leaves the split's directory."""
    if not _is_outside(name):
        yield name
    for candidate in (name, unquote(name)):
        path = candidate.replace("\\", "/")
        for spelling in (path, path.removeprefix(f"{split}/"), path.rpartition(f"/{split}/")[2]):
            if not _is_outside(spelling):
                yield spelling


def _is_outside(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/")
