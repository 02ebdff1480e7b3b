"""Which images ``mrc-predict`` reads, and where it writes its results."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mrc_cli.errors import UserError

IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


def find_images(arguments: Sequence[str]) -> list[Path]:
    """The image files that are named directly, by their directory or by a glob pattern, each once.

    A directory stands for the images in it, in alphabetical order. A file that is named directly need not
    exist: reading it reports that.

    Raises:
        UserError: for a directory without images and a pattern without matches.
    """
    images: dict[Path, None] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            files = _images_in(path)
            if not files:
                raise UserError(f"{path}: no image in this directory ({', '.join(sorted(IMAGE_SUFFIXES))})")
        elif glob.has_magic(argument) and not path.exists():
            matches = map(Path, sorted(glob.glob(argument, recursive=True)))  # noqa: PTH207 (absolute patterns)
            files = [file for match in matches for file in (_images_in(match) if match.is_dir() else [match])]
            if not files:
                raise UserError(f"{argument}: no file matches this pattern")
        else:
            files = [path]
        images |= dict.fromkeys(files)
    return list(images)


def _images_in(directory: Path) -> list[Path]:
    return sorted(file for file in directory.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)


def result_names(images: Sequence[Path]) -> list[str]:
    """A different name for each image's result: its stem, with as much of its path as is needed."""
    names = [image.stem for image in images]
    for parts in range(1, max((len(image.parts) for image in images), default=0) + 1):
        counts = Counter(names)
        names = [
            name if counts[name] == 1 else "-".join(part for part in image.parts[-parts:] if part != os.sep)
            for name, image in zip(names, images, strict=True)
        ]
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}-{number}" for number, name in enumerate(names, start=1)]


def check_output_file(path: Path) -> None:
    """Make sure that a file can be written later; its directory is created.

    Raises:
        UserError: when it is a directory, or its directory is not writable.
        OSError: when its directory cannot be created.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a directory; name a file in it")
    check_output_directory(path.parent)


def check_output_directory(path: Path) -> None:
    """Create a directory that results will be written to. Raises UserError when that is impossible."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file; name a directory for the results")
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"{path}: permission denied; name a directory that this user can write to")
