"""Fetching a range and writing its files: one create a file, under its final name."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mrc_cli.errors import UserError

from mrc_stage import archive
from mrc_stage.archive import Damaged, Member
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket
from mrc_stage.plan import Range

READS_OF_DAMAGED = 4
"""A flipped bit on the way is gone at the next read; one in the bucket is not."""

_ADVICE = {
    errno.ENOSPC: "Make room on the file system",
    errno.EDQUOT: "Raise the quota, or make room",
    errno.EACCES: "Let this user write there",
    errno.EROFS: "Mount the file system for writing",
    errno.EMFILE: "Raise the limit of open files",
}

_LONGEST_HEADER = 30 + 2 * 65535


def write_range(bucket: Bucket, part: Range, wanted: Sequence[Member], tree: Path) -> None:
    """Fetch these members of a range and write them into the tree, each after its check.

    Raises:
        WrongData: when a member is damaged at every read.
        ServiceError: when the bytes cannot be read.
        UserError: when a file cannot be written.
    """
    if part.is_large:
        _again(bucket, part, lambda: _write_large(bucket, part, wanted[0], tree))
        return
    left = list(wanted)

    def attempt() -> None:
        start, end = left[0].start, left[-1].end
        data = memoryview(bucket.read(part.key, part.version, start, end))
        while left:
            member = left[0]
            content = archive.contents(member, data[member.start - start : member.end - start])
            _write(tree / member.name, [content])
            left.pop(0)

    _again(bucket, part, attempt)


def _again(bucket: Bucket, part: Range, attempt: Callable[[], None]) -> None:
    for reads in range(1, READS_OF_DAMAGED + 1):
        try:
            return attempt()
        except Damaged as error:
            if reads == READS_OF_DAMAGED:
                raise WrongData(
                    f"{bucket.where}{part.key}: {error}, in {reads} reads. The object is damaged; "
                    "prepare it again from its source."
                ) from None


def _write_large(bucket: Bucket, part: Range, member: Member, tree: Path) -> None:
    """A member of any size in reads of the usual size. Until its check it has no valid journal line."""
    head = bucket.read(part.key, part.version, member.start, min(member.end, member.start + _LONGEST_HEADER))
    begin = member.start + archive.data_offset(member, head)
    whole = archive.Contents(member)

    def pieces() -> Iterator[bytes | memoryview]:
        for start in range(begin, begin + member.stored_size, archive.RANGE_BYTES):
            end = min(begin + member.stored_size, start + archive.RANGE_BYTES)
            yield from whole.unpack(bucket.read(part.key, part.version, start, end), archive.RANGE_BYTES)

    _write(tree / member.name, pieces())
    whole.check()


def _write(path: Path, pieces: Sequence[bytes | memoryview] | Iterator[bytes | memoryview]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]
        finally:
            # NFS reports a full disk or a quota at the latest here.
            os.close(descriptor)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(
            f"{path}: {reason}. {_ADVICE.get(error.errno or 0, 'Correct that')}, and run again; what is "
            "complete is kept."
        ) from None
