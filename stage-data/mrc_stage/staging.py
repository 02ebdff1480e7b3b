"""One shard of staging: fetch its ranges, write their files, and publish when it is the last."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

from mrc_cli.progress import progress
from mrc_cli.terminal import one_line, say

from mrc_stage import destination as destinations
from mrc_stage import plan as planning
from mrc_stage import publishing, writing
from mrc_stage.destination import Existing
from mrc_stage.objects import Bucket
from mrc_stage.plan import Plan, Range
from mrc_stage.workspace import REPAIR, Journal, Workspace

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
    destinations.make(destination)
    existing = Existing(destination, plan, replace)
    mine = [part for part in plan.ranges if part.number % shards == shard]
    marker = publishing.read_marker(destination)
    if marker and marker.digest == plan.digest:
        written = _repair(bucket, mine, existing, destination, plan, shard)
        _remove_leftovers(destination, plan, shard, shards)
        back = f", but for {written} files, which are back" if written else ""
        say(one_line(f"{destination}: already complete{back}"))
        return True
    workspace = Workspace(destination, plan.digest)
    try:
        workspace.make(plan.directories)
        done = workspace.done(shards)
    except PermissionError as error:
        raise destinations.not_writable(destination, error) from None
    mine = [part for part in mine if part.number not in done]
    destinations.check_space(destination, sum(member.size for part in mine for member in part.members))
    _stage_ranges(bucket, mine, existing, workspace, shard)
    try:
        complete = len(workspace.done(shards)) == len(plan.ranges)
    except FileNotFoundError:  # another shard has published, and removed the journals
        return True
    if not complete and (marker := publishing.read_marker(destination)) and marker.digest == plan.digest:
        workspace.remove()  # the same, but the journals were made again
        return True
    if not complete:
        say(f"shard {shard}/{shards}: done; other shards are not")
        return False
    publishing.publish(workspace, destination, plan, str(bucket.where))
    say(one_line(f"{destination}: complete, {plan.files} files"))
    return True


def _stage_ranges(
    bucket: Bucket, parts: Sequence[Range], existing: Existing, workspace: Workspace, shard: int
) -> None:
    unflushed: list[int] = []

    def one(part: Range) -> None:
        if wanted := existing.missing(part):
            writing.write_range(bucket, part, wanted, workspace.tree)
        unflushed.append(part.number)

    flushed = time.monotonic()
    with workspace.journal(shard) as journal:
        try:
            with closing(_completed(parts, one)) as completed:
                for _ in completed:
                    if time.monotonic() - flushed >= SECONDS_BETWEEN_FLUSHES:
                        _flush(unflushed, journal)
                        flushed = time.monotonic()
        finally:  # The threads have ended, also after Ctrl-C.
            _flush(unflushed, journal)


def _flush(unflushed: list[int], journal: Journal) -> None:
    """Note ranges, while threads append further ones."""
    if numbers := list(unflushed):
        journal.append(numbers)
        del unflushed[: len(numbers)]


def _repair(
    bucket: Bucket, parts: Sequence[Range], existing: Existing, destination: Path, plan: Plan, shard: int
) -> int:
    """Write the files that a published data set has lost since; returns their number.

    Each shard does so for itself: the others may find nothing missing, and write no journal.
    """
    workspace = Workspace(destination, plan.digest, f"{REPAIR}{shard}")
    written: list[int] = []

    def one(part: Range) -> None:
        if wanted := existing.missing(part):
            workspace.make({member.name.rpartition("/")[0] for member in wanted})
            writing.write_range(bucket, part, wanted, workspace.tree)
            publishing.move(workspace.tree, destination, wanted)
            written.append(len(wanted))

    for _ in _completed(parts, one):
        pass
    return sum(written)


def _remove_leftovers(destination: Path, plan: Plan, shard: int, shards: int) -> None:
    """Remove what this shard's repair left, and what a run left that was killed after it had published.

    Repairs of other shards may be under way, but none of a shard that this division does not have.
    """
    workspace = Workspace(destination, plan.digest)
    stale = [number for number in workspace.repairs() if number == shard or number >= shards]
    workspace.remove([f"{REPAIR}{number}" for number in stale])


def _completed(parts: Sequence[Range], one: Callable[[Range], None]) -> Generator[Range, None, None]:
    """Do ``one`` for each range in threads, and yield the ranges as they are completed."""
    stopped = threading.Event()

    def unless_stopped(part: Range) -> Range | None:
        if stopped.is_set():
            return None
        one(part)
        return part

    files = sum(len(part.members) for part in parts)
    size = sum(member.size for part in parts for member in part.members)
    began = time.monotonic()
    with progress("staging", files, "files") as advance, ThreadPoolExecutor(THREADS) as pool:
        waiting: set[Future[Range | None]] = set()
        remaining = iter(parts)
        try:
            while True:
                while len(waiting) < 2 * THREADS and (part := next(remaining, None)):
                    waiting.add(pool.submit(unless_stopped, part))
                if not waiting:
                    break
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    if written := future.result():
                        advance(len(written.members))
                        yield written
        finally:
            stopped.set()
    seconds = max(time.monotonic() - began, 1e-3)
    if files:
        say(f"{size / 1e6:,.0f} MB: {files / seconds:,.0f} files/s, {size / 1e6 / seconds:,.1f} MB/s")
