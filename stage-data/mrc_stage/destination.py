"""The directory that is staged into: what it has, and whether it can take more."""

import os
from collections.abc import Sequence
from pathlib import Path

from mrc_cli.errors import UserError

from mrc_stage.archive import Member
from mrc_stage.errors import WrongData
from mrc_stage.plan import Plan, Range


def make(destination: Path) -> None:
    """Make the directory on a file system that is mounted.

    Raises:
        UserError: when the file system is not mounted, or denies it.
    """
    above = destination.absolute()
    while not above.exists():
        above = above.parent
    if above == Path("/"):
        raise UserError(f"{destination}: {above} has no such directory. Is the file system mounted?")
    if not above.is_dir():
        raise UserError(f"{destination}: {above} is not a directory.")
    try:
        destination.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(destination, error) from None


def not_writable(path: Path, error: OSError) -> UserError:
    """The error for a directory that cannot be written to."""
    user, group = os.geteuid(), os.getegid()
    if not isinstance(error, PermissionError):
        return UserError(f"{path}: {(error.strerror or str(error)).lower()}")
    return UserError(
        f"{path} is not writable for user {user}, group {group}. Run this once on any machine that mounts "
        f"the file system: mkdir -p {path} && chown {user}:{group} {path}; or run as its owner, in the chart "
        "by run_as_user and run_as_group, or own_folder: true."
    )


def check_space(destination: Path, needed: int) -> None:
    """Raises UserError when fewer bytes than needed are free."""
    stats = os.statvfs(destination)
    free = stats.f_bavail * stats.f_frsize
    if needed > free:
        raise UserError(
            f"{destination}: {needed / 1e9:.1f} GB are needed, but only {free / 1e9:.1f} GB are free. Make "
            "room, and run again."
        )


def size_of(path: Path) -> int | None:
    """The size of a file in bytes, or None when there is none."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


class Existing:
    """Files that the destination had when it was looked at.

    Raises:
        WrongData: when it has a file where the plan has a directory.
    """

    def __init__(self, destination: Path, plan: Plan, replace: bool) -> None:
        self._destination = destination
        self._replace = replace
        with os.scandir(destination) as entries:
            self._top = {entry.name: entry.is_dir() for entry in entries}
        for directory in sorted(plan.directories):
            top = directory.partition("/")[0]
            if self._top.get(top) is False:
                raise WrongData(
                    f"{destination / top} is a file, but a directory in the archive. Move it away."
                )

    def missing(self, part: Range) -> Sequence[Member]:
        """The members of a range that have to be fetched.

        Raises:
            WrongData: when a file has another size, unless it may be replaced.
        """
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
