"""What ``prepare`` makes objects from: a user's directory or archive, files of public servers, weights."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

from mrc_cli.errors import UserError

from mrc_stage import names, remote
from mrc_stage.objects import Bucket, Version
from mrc_stage.ranged_file import Ranged
from mrc_stage.remote import Mirrors, Remote
from mrc_stage.uploading import Upload, upload_ranges

PIECE = 1 << 20

WEIGHTS = "pretrained-models/"
"""Where the tutorial's values look for the weights of the backbone, within the data set's directory."""

Advance = Callable[[int], None]


class Source(NamedTuple):
    """An object to be made.

    ``identity`` changes when its content does. ``size`` may be an estimate, 0 if it is not known. ``sha256``
    is empty if it is not known. ``upload`` returns the object's version, and the SHA-256 of what it sent
    or an empty string.
    """

    key: str
    size: int
    identity: str
    sha256: str
    is_archive: bool
    upload: Callable[[Bucket, Advance], tuple[Version, str]]


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
    return [_copied(path, path.name, is_archive=True)]


def public(file: Remote, is_archive: bool) -> Source:
    """The object for a file of a public server."""

    def upload(bucket: Bucket, advance: Advance) -> tuple[Version, str]:
        mirrors = Mirrors(file)
        return upload_ranges(bucket, file.key, identity, mirrors.size, mirrors.read, advance), ""

    identity = f"sha256={file.sha256}" if file.sha256 else file.mirrors[0]
    return Source(file.key, file.size, identity, file.sha256, is_archive, upload)


def coco_2017() -> list[Source]:
    """The objects of COCO 2017."""
    return [public(file, is_archive=True) for file in remote.COCO_2017]


def coco_2017_members() -> list[Ranged]:
    """The archives of COCO 2017, to be read in ranges from servers that prove who they are.

    The digest of a whole archive says nothing about single members.

    Raises:
        ServiceError: when no server has one of them.
    """
    archives = []
    for file in remote.COCO_2017:
        https = [url for url in file.mirrors if url.startswith("https://")]
        mirrors = Mirrors(file._replace(mirrors=https))
        archives.append(Ranged(https[0], mirrors.size, mirrors.read))
    return archives


def local_members(path: Path) -> list[Ranged]:
    """A local archive, to be read in ranges."""
    descriptor = os.open(path, os.O_RDONLY)

    def read(start: int, end: int) -> bytes:
        return os.pread(descriptor, end - start, start)

    return [Ranged(str(path), path.stat().st_size, read)]


def weights(text: str) -> Source:
    """The object for weights in a local file or at a URL.

    Raises:
        UserError: when the file does not exist.
        UsageError: when the URL cannot be used.
    """
    if "://" in text:
        return public(remote.from_url(text, WEIGHTS), is_archive=False)
    path = Path(text)
    if not path.is_file():
        raise UserError(f"{text}: no such file. Name a .npz file, or an https URL.")
    return _copied(path, WEIGHTS + path.name, is_archive=False)


def _directory(root: Path) -> Iterator[Source]:
    """One archive for each directory at the top, such as train2017.zip, and one for the files there."""
    top = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    groups = {entry.name: [entry] for entry in top if entry.is_dir()}
    if files := [entry for entry in top if entry.is_file()]:
        groups["files"] = groups.get("files", []) + files
    if not groups:
        raise UserError(f"{root}: nothing to upload. Name the data set's root directory.")
    for name, entries in groups.items():
        members = sorted(path for entry in entries for path in files_below(entry))
        relative = [path.relative_to(root).as_posix() for path in members]
        names.check(str(root), relative)
        digest = hashlib.sha256()
        size = 0
        for path, member in zip(members, relative, strict=True):
            stat = path.stat()
            digest.update(
                f"{member}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode("utf-8", "surrogateescape")
            )
            size += stat.st_size + 200 + 2 * len(member)
        yield _written(f"{name}.zip", size, digest.hexdigest(), True, _pack(root, members))


def files_below(entry: Path) -> Iterator[Path]:
    """A file itself, or all files below a directory."""
    if entry.is_file():
        yield entry
        return
    for directory, _, files in os.walk(entry):
        yield from (Path(directory, name) for name in files)


def _copied(path: Path, key: str, is_archive: bool) -> Source:
    def write(file: IO[bytes], advance: Advance) -> None:
        with path.open("rb") as source:
            while piece := source.read(PIECE):
                file.write(piece)
                advance(len(piece))

    stat = path.stat()
    return _written(key, stat.st_size, f"{path.name} {stat.st_size} {stat.st_mtime_ns}", is_archive, write)


def _written(
    key: str, size: int, identity: str, is_archive: bool, write: Callable[[IO[bytes], Advance], None]
) -> Source:
    def upload(bucket: Bucket, advance: Advance) -> tuple[Version, str]:
        file = Upload(bucket, key, identity, size)
        try:
            write(cast(IO[bytes], file), advance)
            return file.finish()
        finally:
            file.stop()

    return Source(key, size, identity, "", is_archive, upload)


def _pack(root: Path, members: list[Path]) -> Callable[[IO[bytes], Advance], None]:
    def write(file: IO[bytes], advance: Advance) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for path in members:
                # Stored: photos do not shrink. The same bytes at each run, so that an upload can continue.
                name = path.relative_to(root).as_posix()
                info = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
                with path.open("rb") as source, archive.open(info, "w") as member:
                    while piece := source.read(PIECE):
                        member.write(piece)
                        advance(len(piece))

    return write
