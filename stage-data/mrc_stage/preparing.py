"""``prepare``: objects first, each read back and hashed, the manifest last."""

import hashlib
from collections.abc import Callable, Sequence
from typing import IO, cast

from mrc_cli.progress import progress
from mrc_cli.terminal import say

from mrc_stage import archive, manifest, names
from mrc_stage.errors import WrongData
from mrc_stage.manifest import Entry, Manifest
from mrc_stage.objects import Bucket, Version
from mrc_stage.sources import Source
from mrc_stage.uploading import Upload

MIB = 1 << 20


def prepare(bucket: Bucket, sources: Sequence[Source]) -> None:
    """Put the sources into the bucket. What is there already and has not changed is not sent again.

    Raises:
        WrongData: when an object is read back with other bytes, or its names cannot be staged.
        ServiceError: when S3 cannot be reached or denies it.
    """
    before = manifest.read(bucket)
    known = {entry.key: entry for entry in before.entries} if before else {}
    entries = [_prepared(bucket, source, known.get(source.key)) for source in sources]
    if before and before.entries == entries:
        say(f"{bucket.where}: already prepared")
        return
    manifest.write(bucket, Manifest(entries=entries))
    say(f"{bucket.where}: {len(entries)} archives and {manifest.KEY}")


def _prepared(bucket: Bucket, source: Source, before: Entry | None) -> Entry:
    if (
        before
        and before.source == source.identity
        and bucket.find(before.key) == Version(before.size, before.etag)
    ):
        return before
    upload = Upload(bucket, source.key, source.size)
    try:
        with progress(f"uploading {source.key}", -(-source.size // MIB), "MiB") as advance:
            source.write(cast(IO[bytes], upload), _Mebibytes(advance))
        version, digest = upload.finish()
    finally:
        upload.stop()
    if (stored := _read_back(bucket, source.key, version)) != digest:
        raise WrongData(
            f"{bucket.where}{source.key}: stored with SHA-256 {stored}, sent with {digest}. Prepare it again."
        )
    read = archive.read_directory(bucket, source.key, version)
    if wrong := list(names.problems(member.name for member in read.members)):
        raise WrongData(f"{bucket.where}{source.key}: names that cannot be staged: {'; '.join(wrong[:10])}.")
    return Entry(
        key=source.key,
        source=source.identity,
        size=version.size,
        sha256=digest,
        etag=version.etag,
        archive=True,
        directory=read.digest,
    )


def _read_back(bucket: Bucket, key: str, version: Version) -> str:
    digest = hashlib.sha256()
    with progress(f"reading {key} back", -(-version.size // MIB), "MiB") as advance:
        counted = _Mebibytes(advance)
        for start in range(0, version.size, archive.RANGE_BYTES):
            data = bucket.read(key, version, start, min(version.size, start + archive.RANGE_BYTES))
            digest.update(data)
            counted(len(data))
    return digest.hexdigest()


class _Mebibytes:
    """Counts bytes and reports MiB, the last one rounded up."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance
        self._bytes = 0

    def __call__(self, count: int) -> None:
        before = -(-self._bytes // MIB)
        self._bytes += count
        if whole := -(-self._bytes // MIB) - before:
            self._advance(whole)
