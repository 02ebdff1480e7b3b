"""``prepare``: objects first, each read back and hashed, the manifest last."""

import hashlib
from collections.abc import Callable, Sequence

from mrc_cli import aws
from mrc_cli.progress import progress
from mrc_cli.terminal import clock, result, say

from mrc_stage import archive, manifest, names
from mrc_stage.errors import WrongData
from mrc_stage.manifest import Entry, Manifest
from mrc_stage.objects import Bucket, Version
from mrc_stage.sources import Source
from mrc_stage.uploading import SOURCE, metadata

MIB = 1 << 20

ESTIMATED_RATE = 60e6
"""Bytes per second of a copy between two regions, for --dry-run only."""


def prepare(bucket: Bucket, sources: Sequence[Source]) -> None:
    """Put the sources into the bucket. What is there already and has not changed is not sent again.

    Raises:
        WrongData: when an object has other bytes than its source, or its names cannot be staged.
        ServiceError: when S3 or a server cannot be reached or denies it.
    """
    before, known = _before(bucket, sources)
    entries = [prepare_one(bucket, source, known.get(source.key)) for source in sources]
    if before and before.entries == entries:
        say(f"{bucket.where}: already prepared")
        return
    manifest.write(bucket, Manifest(entries=entries))
    say(f"{bucket.where}: {len(entries)} objects and {manifest.KEY}")


def describe(bucket: Bucket, sources: Sequence[Source]) -> None:
    """Print what ``prepare`` would do."""
    _, known = _before(bucket, sources)
    total = 0
    for source in sources:
        there = _unchanged(bucket, source, known.get(source.key)) is not None
        total += 0 if there else source.size
        size = f"{source.size / 1e6:,.0f} MB" if source.size else "size not known"
        result(f"{bucket.where}{source.key}: {size}, {'already there' if there else 'to be sent'}")
    seconds = total / ESTIMATED_RATE
    result(f"{total / 1e6:,.0f} MB to be sent: about {clock(seconds)} at {ESTIMATED_RATE / 1e6:.0f} MB/s")


def _before(bucket: Bucket, sources: Sequence[Source]) -> tuple[Manifest | None, dict[str, Entry]]:
    """The manifest of an earlier run, and its entries by key."""
    names.check(str(bucket.where), (source.key for source in sources), "prepared")
    before = manifest.read(bucket)
    return before, {entry.key: entry for entry in before.entries} if before else {}


def _unchanged(bucket: Bucket, source: Source, before: Entry | None) -> Entry | None:
    """The entry of an earlier run, if its object and its source are still the same."""
    if before and before.source == source.identity:
        version = Version(before.size, before.etag)
        return before if bucket.find(before.key) == version else None
    return None


def prepare_one(bucket: Bucket, source: Source, before: Entry | None = None) -> Entry:
    """Put one source into the bucket and read it back. ``before``: its entry in an earlier manifest.

    Raises:
        WrongData: when the object has other bytes than its source, or its names cannot be staged.
        ServiceError: when S3 or a server cannot be reached or denies it.
    """
    if unchanged := _unchanged(bucket, source, before):
        return unchanged
    sent = source.sha256
    # An earlier run that did not get to the manifest may have finished this object.
    version = bucket.find(source.key)
    if version is None or bucket.metadata(source.key).get(SOURCE) != metadata(source.identity):
        with progress(f"uploading {source.key}", -(-source.size // MIB), "MiB") as advance:
            version, digest = source.upload(bucket, _Mebibytes(advance))
            sent = sent or digest
    stored = _read_back(bucket, source.key, version)
    try:
        if sent and stored != sent:
            raise WrongData(
                f"{bucket.where}{source.key}: SHA-256 {stored}, but {sent} was expected. It was removed; "
                "run again. If that does not help, the source is damaged."
            )
        directory = _checked_directory(bucket, source, version)
    except WrongData:
        with aws.calling(f"s3:DeleteObject of {bucket.where}{source.key}"):
            bucket.client.delete_object(Bucket=bucket.where.bucket, Key=bucket.where.prefix + source.key)
        raise
    return Entry(
        key=source.key,
        source=source.identity,
        size=version.size,
        sha256=stored,
        etag=version.etag,
        archive=source.is_archive,
        directory=directory,
    )


def _checked_directory(bucket: Bucket, source: Source, version: Version) -> str:
    """The digest of an archive's directory, empty for other files. An .npz file has to be an archive, too."""
    if not source.is_archive and not source.key.endswith(".npz"):
        return ""
    read = archive.read_directory(bucket.ranged(source.key, version))
    if not source.is_archive:
        return ""
    names.check(f"{bucket.where}{source.key}", (member.name for member in read.members))
    return read.digest


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
    """Counts bytes and reports MiB, the last one rounded up. Threads may be off by one, which only shows."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance
        self._bytes = 0

    def __call__(self, count: int) -> None:
        before = -(-self._bytes // MIB)
        self._bytes += count
        if whole := -(-self._bytes // MIB) - before:
            self._advance(whole)
