"""Whether a directory has what the bucket has, and what its marker says."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mrc_cli.errors import UserError
from mrc_cli.progress import progress
from mrc_cli.staged import WORKSPACE
from mrc_cli.terminal import one_line, result, say

from mrc_stage import archive, publishing
from mrc_stage import plan as planning
from mrc_stage.archive import Contents, Damaged, Member
from mrc_stage.destination import size_of
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket
from mrc_stage.plan import Range

THREADS = 16
"""A network file system answers many questions at once."""

SHOWN = 10

SMALLEST_BLOCKS = 4096
"""Bytes of a file that some file systems store without a block of its own."""


def verify(bucket: Bucket, destination: Path, deep: bool) -> None:
    """Compare all files. ``deep`` reads them, which loads those of an association that were not loaded.

    Raises:
        WrongData: when any is missing or wrong; each of the first ones was printed.
        UserError: when all are right, but some have to be loaded from an associated bucket yet.
    """
    plan = planning.make(bucket)
    findings: list[str] = []
    released: list[Path] = []

    def of_range(part: Range) -> list[str]:
        wrong = []
        for member in part.members:
            path = destination / member.name
            if finding := _finding(path, member, deep):
                wrong.append(finding)
            elif not deep and _is_released(path):
                released.append(path)
        return wrong

    with progress("verifying", plan.files, "files") as advance, ThreadPoolExecutor(THREADS) as pool:
        for part, problems in zip(plan.ranges, pool.map(of_range, plan.ranges), strict=True):
            advance(len(part.members))
            findings += problems
    for finding in findings[:SHOWN]:
        result(one_line(finding))
    for path in sorted(released)[:SHOWN]:
        result(one_line(f"{path}: not loaded"))
    if findings:
        raise WrongData(
            f"{destination}: {len(findings)} of {plan.files} files are missing or wrong. Run mrc-stage "
            f"stage {bucket.where} {destination} --replace."
        )
    if released:
        raise UserError(
            f"{destination}: {len(released)} of {plan.files} files are not loaded from the bucket yet, "
            f"which their first read waits for. Load them: mrc-stage verify {bucket.where} {destination} "
            "--deep"
        )
    content = " and have the right content" if deep else ""
    say(one_line(f"{destination}: all {plan.files} files are there{content}"))


def _is_released(path: Path) -> bool:
    """Whether only the metadata of a file is there, as Lustre shows a released file: size without blocks."""
    stat = path.stat()
    return stat.st_blocks <= 1 and stat.st_size > SMALLEST_BLOCKS


def _finding(path: Path, member: Member, deep: bool) -> str:
    size = size_of(path)
    if size is None:
        return f"{path}: missing"
    if size != member.size:
        return f"{path}: {size} bytes, but {member.size} in the bucket"
    if deep:
        plain = Contents(member._replace(method=archive.NO_ARCHIVE))
        try:
            for piece in _pieces(path):
                for _ in plain.unpack(piece):
                    pass
            plain.check()
        except Damaged:
            return f"{path}: other content than in the bucket"
        except OSError as error:
            return f"{path}: cannot be read: {(error.strerror or str(error)).lower()}"
    return ""


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


def status(destination: Path) -> None:
    """Print what the marker says.

    Raises:
        UserError: when there is no marker.
    """
    marker = publishing.read_marker(destination)
    if (destination / WORKSPACE).is_dir():
        journals = (destination / WORKSPACE).glob("journal-*")
        lines = sum(max(0, path.read_bytes().count(b"\n") - 1) for path in journals)
        raise UserError(
            f"{destination}: staging is not complete; {lines} ranges are. Run mrc-stage stage until all "
            "shards are done."
        )
    if marker is None:
        raise UserError(f"{destination}: nothing was staged here, or not to the end. Run mrc-stage stage.")
    summary = f"complete, {marker.files} files of {marker.bytes} bytes from {marker.source}"
    result(one_line(f"{destination}: {summary}"))
    for key, digest in marker.archives.items():
        result(one_line(f"  {key} SHA-256 {digest}"))
