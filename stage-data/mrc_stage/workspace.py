"""The directory in which files are staged, and the journals that say which of them are complete."""

import ctypes
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mrc_cli.errors import UserError
from mrc_cli.files import naming
from mrc_cli.staged import WORKSPACE

REPAIR = "repair-"
"""Trees of shards that repair a published data set: this, and the shard's number."""


class Workspace:
    """``DEST/.mrc-stage``: ``tree/`` with files under their final names, and ``journal-I`` of each shard.

    The first line of a journal is the plan's digest, every other one the number of a range whose files are on
    the disk. Only one shard writes a journal; all read all.
    """

    def __init__(self, destination: Path, digest: str, tree: str = "tree") -> None:
        self.path = destination / WORKSPACE
        self.tree = self.path / tree
        self._digest = digest

    def make(self, directories: Iterable[str]) -> None:
        """Make the directories of the tree."""
        self.tree.mkdir(parents=True, exist_ok=True)
        for directory in sorted(directories):
            (self.tree / directory).mkdir(parents=True, exist_ok=True)

    def done(self, shards: int) -> set[int]:
        """Numbers of the ranges that are complete.

        Raises:
            UserError: when the journals are those of another archive.
        """
        for shard in range(shards):
            # Opening a file for writing asks the server, where a listing may be a minute old.
            os.close(os.open(self._journal(shard), os.O_RDWR | os.O_CREAT, 0o644))
        numbers: set[int] = set()
        for path in sorted(self.path.glob("journal-*")):
            first, *lines = path.read_text().split("\n")
            if first and not self._digest.startswith(first):
                raise UserError(
                    f"{path} belongs to another archive, or to one that has changed. Wait for its run to "
                    f"end, or remove {self.path} and start again."
                )
            # A line without its line feed was cut by a crash.
            numbers.update(int(line) for line in lines[:-1] if line.isdecimal())
        return numbers

    @contextmanager
    def journal(self, shard: int) -> Iterator["Journal"]:
        """This shard's journal, for appending."""
        path = self._journal(shard)
        with path.open("a+b", buffering=0) as file:
            content = path.read_bytes()
            with naming(path):
                if not content.startswith(self._digest.encode() + b"\n"):
                    file.truncate(0)
                    file.write(self._digest.encode() + b"\n")
                elif not content.endswith(b"\n"):
                    file.truncate(content.rfind(b"\n") + 1)
            yield Journal(path, file.fileno())

    def repairs(self) -> list[int]:
        """Numbers of the shards that have a tree for repairs."""
        names = [path.name.removeprefix(REPAIR) for path in self.path.glob(f"{REPAIR}*")]
        return [int(name) for name in names if name.isdecimal()]

    def remove(self, others: Sequence[str] = ()) -> None:
        """Remove the tree, whose files are published, the journals, and other trees by their names.

        Another shard may do the same.
        """
        for path in self.path.glob("journal-*"):
            path.unlink(missing_ok=True)
        for tree in (self.tree, *(self.path / name for name in others)):
            shutil.rmtree(tree, ignore_errors=True)
        # Not empty when another shard repairs something.
        with suppress(OSError):
            self.path.rmdir()

    def _journal(self, shard: int) -> Path:
        return self.path / f"journal-{shard}"


class Journal:
    """Appends the numbers of complete ranges."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def append(self, numbers: Iterable[int]) -> None:
        """Note ranges whose files are written, once these are on the disk."""
        with naming(self._path):
            _flush_file_system(self._descriptor)
            os.write(self._descriptor, "".join(f"{number}\n" for number in numbers).encode())
            os.fsync(self._descriptor)


def _flush_file_system(descriptor: int) -> None:
    """syncfs(2): flush everything that was written to the file system of an open file."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(descriptor):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
