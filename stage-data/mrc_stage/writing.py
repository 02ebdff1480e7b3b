"""Fetching a range and writing its files: one create a file, under its final name."""

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mrc_cli.errors import UserError

from mrc_stage import archive
from mrc_stage.archive import Member
from mrc_stage.objects import Bucket
from mrc_stage.plan import Range

_ADVICE = {
    errno.ENOSPC: "Make room on the file system",
    errno.EDQUOT: "Raise the quota, or make room",
    errno.EACCES: "Let this user write there",
    errno.EROFS: "Mount the file system for writing",
    errno.EMFILE: "Raise the limit of open files",
}


def write_range(bucket: Bucket, part: Range, wanted: Sequence[Member], tree: Path) -> None:
    """Fetch these members of a range and write them into the tree, each after its check.

    Raises:
        WrongData: when a member is damaged at every read.
        ServiceError: when the bytes cannot be read.
        UserError: when a file cannot be written.
    """
    source = bucket.ranged(part.key, part.version)
    left = list(wanted)

    def attempt() -> None:
        start, end = left[0].start, left[-1].end
        data = memoryview(source.read(start, end))
        while left:
            member = left[0]
            content = archive.contents(member, data[member.start - start : member.end - start])
            _write(tree / member.name, [content])
            left.pop(0)

    def attempt_large() -> None:
        # Written before its check: until the range is in the journal, it does not count.
        _write(tree / wanted[0].name, archive.large_contents(source, wanted[0]))

    archive.read_again_if_damaged(source.name, attempt_large if part.is_large else attempt)


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
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
