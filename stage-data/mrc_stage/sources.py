"""A user's own data set as objects: directories become zip archives, archives stay what they are."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from mrc_cli.errors import UserError

from mrc_stage import names
from mrc_stage.errors import WrongData

PIECE = 1 << 20


class Source(NamedTuple):
    """An object to be made. ``identity`` changes when its content does; ``write`` writes it into a file."""

    key: str
    size: int
    identity: str
    write: Callable[[IO[bytes], Callable[[int], None]], None]


def local(path: Path) -> list[Source]:
    """The objects for a zip archive, or for the directories and files of a data set's directory.

    Raises:
        UserError: when there is nothing to upload.
        WrongData: when names cannot be staged.
    """
    if path.is_dir():
        return list(_directory(path))
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: neither a directory nor a zip archive. Name the data set's root directory.")
    found = path.stat()
    return [Source(path.name, found.st_size, f"{path.name} {found.st_size} {found.st_mtime_ns}", _copy(path))]


def _directory(root: Path) -> Iterator[Source]:
    """One archive for each directory at the top, such as train2017.zip, and one for the files there."""
    top = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    groups = {entry.name: [entry] for entry in top if entry.is_dir()}
    if files := [entry for entry in top if entry.is_file()]:
        groups["files"] = groups.get("files", []) + files
    if not groups:
        raise UserError(f"{root}: nothing to upload. Name the data set's root directory.")
    for name, entries in groups.items():
        members = sorted(path for entry in entries for path in _files(entry))
        found = [path.relative_to(root).as_posix() for path in members]
        if wrong := list(names.problems(found)):
            raise WrongData(f"{root}: names that cannot be staged: {'; '.join(wrong[:10])}.")
        identity = hashlib.sha256()
        size = 0
        for path, member in zip(members, found, strict=True):
            stat = path.stat()
            identity.update(f"{member}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
            size += stat.st_size + 200 + 2 * len(member)
        yield Source(f"{name}.zip", size, identity.hexdigest(), _pack(root, members))


def _files(entry: Path) -> Iterator[Path]:
    if entry.is_file():
        yield entry
        return
    for directory, _, files in os.walk(entry):
        yield from (Path(directory, name) for name in files)


def _pack(root: Path, members: list[Path]) -> Callable[[IO[bytes], Callable[[int], None]], None]:
    def write(file: IO[bytes], advance: Callable[[int], None]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for path in members:
                # Stored: photos do not shrink. The same bytes at each run, so that an upload can continue.
                info = zipfile.ZipInfo.from_file(
                    path, path.relative_to(root).as_posix(), strict_timestamps=False
                )
                with path.open("rb") as source, archive.open(info, "w") as member:
                    while piece := source.read(PIECE):
                        member.write(piece)
                        advance(len(piece))

    return write


def _copy(path: Path) -> Callable[[IO[bytes], Callable[[int], None]], None]:
    def write(file: IO[bytes], advance: Callable[[int], None]) -> None:
        with path.open("rb") as source:
            while piece := source.read(PIECE):
                file.write(piece)
                advance(len(piece))

    return write
