"""What every annotation format is read into, before it is written in COCO layout."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from mrc_train.data.decoding import UnreadableImage
from mrc_train.data.images import read_image
from mrc_train.data.problems import DataError
from mrc_train.prediction_files import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Object:
    """An annotated object: its class and the keys of COCO that describe it."""

    category: str
    entry: dict[str, Any]


@dataclass(frozen=True)
class SourceImage:
    """An image file with its objects.

    split: "train" or "val" where the source says so; size: height and width in pixels.
    """

    path: Path
    size: tuple[int, int]
    objects: Sequence[Object]
    split: str | None = None


@dataclass
class Source:
    """A whole data set. skipped: what has no equivalent in COCO, and how often."""

    categories: list[str]
    images: list[SourceImage]
    skipped: Counter[str] = field(default_factory=Counter)


class ImageIndex:
    """All image files below a directory, found by the end of their path."""

    def __init__(self, root: Path) -> None:
        self._by_name: dict[str, list[Path]] = {}
        for directory, subdirectories, names in os.walk(root):
            subdirectories.sort()
            for name in sorted(names):
                if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                    self._by_name.setdefault(name, []).append(Path(directory) / name)
        self._root = root

    def find(self, name: str) -> Path | None:
        """The file that a name means: of all with its base name, the one whose path agrees most.

        Backslashes and URL escapes are understood. None when there is no such file, and when several agree
        equally well.
        """
        for spelling in dict.fromkeys((name, unquote(name))):
            parts = PurePosixPath(spelling.replace("\\", "/")).parts
            candidates = self._by_name.get(parts[-1], []) if parts else []
            agreements = [_common_end(parts, candidate.parts) for candidate in candidates]
            best = [
                candidate
                for candidate, agreement in zip(candidates, agreements, strict=True)
                if agreement == max(agreements)
            ]
            if len(best) == 1:
                return best[0]
        return None

    def __str__(self) -> str:
        return str(self._root)


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    length = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        length += 1
    return length


def resolved(index: ImageIndex, names: Iterable[str], where: Path) -> list[Path]:
    """The file of each name. Raises DataError with the number of names without exactly one file."""
    named = list(names)
    files = [index.find(name) for name in named]
    missing = [name for name, file in zip(named, files, strict=True) if file is None]
    if missing:
        raise DataError(
            f"{where}: {len(missing)} of {len(named)} images are not found exactly once below {index}, "
            f"such as {missing[0]}; name their directory by --images",
            "MRD010",
        )
    return [file for file in files if file is not None]


def read_json(path: Path) -> Any:
    """The content of a JSON file, None for a file that is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def size_of(path: Path) -> tuple[int, int]:
    """Height and width of an image file as viewers show it. Raises DataError."""
    try:
        height, width = read_image(path).shape[:2]
    except UnreadableImage as error:
        raise DataError(str(error), "MRD012") from None
    return height, width


def split_named(name: str) -> str | None:
    """ "train", "val" or "test" for the usual names of splits and of directories, else None."""
    word = name.lower().removesuffix("2017").strip("_-")
    names = {
        "train": ("train", "training"),
        "val": ("val", "valid", "validation"),
        "test": ("test", "testing"),
    }
    return next((split for split, words in names.items() if word in words), None)
