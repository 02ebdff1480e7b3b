"""``prepare --unpacked``: each file as an object of its own, for SageMaker and data repositories of FSx."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

from mrc_cli import aws
from mrc_cli.errors import UserError
from mrc_cli.progress import progress
from mrc_cli.terminal import result, say

from mrc_stage import archive, manifest, names, sources
from mrc_stage.archive import Member
from mrc_stage.objects import Bucket, Version
from mrc_stage.ranged_file import Ranged
from mrc_stage.uploading import Upload

THREADS = 16
"""Requests in flight: one object takes a round trip, and hardly any CPU."""

MAX_BYTES = 5 << 30
"""Of an object that is sent in one request, S3's limit."""

Work = TypeVar("Work")


def prepare_directory(bucket: Bucket, root: Path, dry_run: bool) -> None:
    """Put the files of a directory into the bucket under their names; those that are there are not sent.

    An object is the same if size and MD5 are. With a key of KMS the MD5 is not known, and all files
    are sent. With ``dry_run`` only says what would be sent.

    Raises:
        UserError: when the bucket has archives there, or a file cannot be one object.
        WrongData: when names cannot be staged.
        ServiceError: when S3 cannot be reached or denies it.
    """
    top = (entry for entry in root.iterdir() if not entry.name.startswith("."))
    files = sorted(path for entry in top for path in sources.files_below(entry))
    keys = [path.relative_to(root).as_posix() for path in files]
    names.check(str(root), keys)
    if large := [path for path in files if path.stat().st_size > MAX_BYTES]:
        raise UserError(f"{large[0]}: more than 5 GiB cannot be sent as one object. Leave out --unpacked.")
    present = _present(bucket)
    missing = [
        (path, key)
        for path, key in zip(files, keys, strict=True)
        if key not in present
        or present[key].size != path.stat().st_size
        or present[key].etag.strip('"') != _md5(path)
    ]

    def send(file: tuple[Path, str]) -> int:
        path, key = file
        with path.open("rb") as body:
            _put(bucket, key, body)
        return 1

    size = sum(path.stat().st_size for path, _ in missing)
    _send_all(bucket, send, missing, len(missing), len(files), size, dry_run)


def prepare_archives(bucket: Bucket, archives: Sequence[Ranged], dry_run: bool) -> None:
    """Put the members of archives into the bucket under their names, without room on this machine.

    An object of a member's name and size is not sent again. CRC-32 is checked before a member is sent.

    Raises:
        UserError: when the bucket has archives there.
        WrongData: when names cannot be staged, or a member is damaged.
        ServiceError: when a server or S3 cannot be reached or denies it.
    """
    present = _present(bucket)
    groups: list[tuple[Ranged, Sequence[Member]]] = []
    everything: list[Member] = []
    for source in archives:
        members = archive.read_directory(source).members
        everything += members
        missing = [
            member
            for member in members
            if member.name not in present or present[member.name].size != member.size
        ]
        groups += [(source, group) for group in archive.ranges(missing)]
    names.check(", ".join(source.name for source in archives), [member.name for member in everything])

    one_large = threading.Lock()  # each holds several parts in memory

    def attempt(source: Ranged, members: Sequence[Member]) -> None:
        if archive.is_large(members):
            with one_large:
                _send_large(bucket, source, members[0])
        else:
            _send_members(bucket, source, members)

    def send(group: tuple[Ranged, Sequence[Member]]) -> int:
        archive.read_again_if_damaged(group[0].name, lambda: attempt(*group))
        return len(group[1])

    count = sum(len(group) for _, group in groups)
    size = sum(member.size for _, group in groups for member in group)
    _send_all(bucket, send, groups, count, len(everything), size, dry_run)


def _send_members(bucket: Bucket, source: Ranged, members: Sequence[Member]) -> None:
    start = members[0].start
    data = memoryview(source.read(start, members[-1].end))
    for member in members:
        content = archive.contents(member, data[member.start - start : member.end - start])
        _put(bucket, member.name, bytes(content))


def _send_large(bucket: Bucket, source: Ranged, member: Member) -> None:
    file = Upload(bucket, member.name, f"{source.name} {member.crc}", member.size)
    try:
        for piece in archive.large_contents(source, member):
            file.write(piece)
        file.finish()
    finally:
        file.stop()


def _present(bucket: Bucket) -> dict[str, Version]:
    """The objects that the bucket has there."""
    present = dict(bucket.objects())
    if manifest.KEY in present:
        raise UserError(f"{bucket.where}: has archives and their manifest. Name another prefix.")
    return present


def _put(bucket: Bucket, key: str, body: IO[bytes] | bytes) -> None:
    with aws.calling(f"s3:PutObject to {bucket.where}{key}"):
        bucket.client.put_object(
            Bucket=bucket.where.bucket, Key=bucket.where.prefix + key, Body=body, ChecksumAlgorithm="SHA256"
        )


def _send_all(
    bucket: Bucket,
    send: Callable[[Work], int],
    work: Sequence[Work],
    count: int,
    total: int,
    size: int,
    dry_run: bool,
) -> None:
    """Send ``count`` of ``total`` objects with ``size`` bytes; ``send`` returns how many it sent."""
    if dry_run:
        result(f"{bucket.where}: {count} of {total} objects to be sent, {size / 1e6:,.0f} MB")
        return
    with progress("uploading", count, "objects") as advance, ThreadPoolExecutor(THREADS) as pool:
        try:
            for sent in pool.map(send, work):
                advance(sent)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    say(f"{bucket.where}: {total} objects, {count} of them sent")


def _md5(path: Path) -> str:
    """What S3 calls an object that was sent in one request, unless a key of KMS encrypts it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
