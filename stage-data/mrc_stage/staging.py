"""One shard of staging: fetch its ranges, write their files, and publish when it is the last."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from mrc_cli.errors import UserError
from mrc_cli.progress import progress
from mrc_cli.terminal import say

from mrc_stage import plan as planning
from mrc_stage import publishing, writing
from mrc_stage.archive import Member
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket
from mrc_stage.plan import Plan, Range
from mrc_stage.workspace import Journal, Workspace

THREADS = 8
"""Each holds one range in memory. Reading, TLS, CRC-32 and writing all run outside of Python's lock."""

SECONDS_BETWEEN_FLUSHES = 5.0
"""What a crash can lose. A flush waits for the whole file system, so there is not one for each range."""


def stage(bucket: Bucket, destination: Path, shard: int, shards: int, replace: bool) -> bool:
    """Stage the ranges of one shard; True when the data set is complete and published.

    Raises:
        WrongData: when the bucket's data is wrong, or files of the destination differ and not ``replace``.
        UserError: when the destination cannot take it.
        ServiceError: when S3 cannot be read.
    """
    plan = planning.make(bucket)
    workspace = Workspace(destination, plan.digest)
    if _published(destination, plan):
        say(f"{destination}: already complete, {plan.files} files")
        return True
    workspace.make(plan.directories)
    done = workspace.done(shards)
    mine = [part for part in plan.ranges if part.number % shards == shard and part.number not in done]
    _check_space(destination, sum(member.size for part in mine for member in part.members))
    existing = _Existing(destination, replace)
    with workspace.journal(shard) as journal:
        _work(bucket, mine, existing, workspace, journal)
    try:
        complete = len(workspace.done(shards)) == len(plan.ranges)
    except FileNotFoundError:  # another shard has published, and removed the journals
        return True
    if not complete:
        say(f"shard {shard}/{shards}: done; other shards are not")
        return False
    publishing.publish(workspace, destination, plan, str(bucket.where))
    say(f"{destination}: complete, {plan.files} files")
    return True


def _published(destination: Path, plan: Plan) -> bool:
    """Whether an earlier run has published everything, and no file is missing."""
    marker = publishing.read_marker(destination)
    if marker is None or marker.digest != plan.digest:
        return False
    return all(
        size_of(destination / member.name) == member.size for part in plan.ranges for member in part.members
    )


def size_of(path: Path) -> int | None:
    """The size of a file in bytes, or None when there is none."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


class _Existing:
    """Files that the destination had before."""

    def __init__(self, destination: Path, replace: bool) -> None:
        self._destination = destination
        self._replace = replace
        self._top = {entry.name for entry in os.scandir(destination)}

    def missing(self, part: Range) -> list[Member]:
        """The members of a range that have to be fetched."""
        return [member for member in part.members if not self._has(member)]

    def _has(self, member: Member) -> bool:
        if member.name.partition("/")[0] not in self._top:
            return False
        path = self._destination / member.name
        size = size_of(path)
        if size is None or size == member.size:
            return size is not None
        if not self._replace:
            raise WrongData(
                f"{path}: {size} bytes, but {member.size} in the archive. Remove it, or replace such "
                "files by --replace."
            )
        return False


def _work(
    bucket: Bucket, parts: Sequence[Range], existing: _Existing, workspace: Workspace, journal: Journal
) -> None:
    stopped = threading.Event()

    def one(part: Range) -> Range | None:
        if stopped.is_set():
            return None
        if wanted := existing.missing(part):
            writing.write_range(bucket, part, wanted, workspace.tree)
        return part

    unflushed: list[int] = []
    files = sum(len(part.members) for part in parts)
    with progress("staging", files, "files") as advance, ThreadPoolExecutor(THREADS) as pool:
        try:
            flushed = time.monotonic()
            for part in _completed(pool, parts, one):
                unflushed.append(part.number)
                advance(len(part.members))
                if time.monotonic() - flushed >= SECONDS_BETWEEN_FLUSHES:
                    journal.append(unflushed)
                    unflushed.clear()
                    flushed = time.monotonic()
        finally:
            stopped.set()
            if unflushed:
                journal.append(unflushed)


def _completed(
    pool: ThreadPoolExecutor, parts: Sequence[Range], one: Callable[[Range], Range | None]
) -> Iterator[Range]:
    waiting: set[Future[Range | None]] = set()
    for part in parts:
        waiting.add(pool.submit(one, part))
        if len(waiting) >= 2 * THREADS:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (written for future in finished if (written := future.result()))
    for future in waiting:
        if written := future.result():
            yield written


def _check_space(destination: Path, needed: int) -> None:
    found = os.statvfs(destination)
    free = found.f_bavail * found.f_frsize
    if needed > free:
        raise UserError(f"{destination}: {needed} bytes are needed, but only {free} are free. Make room.")
