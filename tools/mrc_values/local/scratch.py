"""The scratch directory of a run, for Open MPI's temporary files."""

import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "mrc-"
_OWNER_FILE = ".mrc-local-run"


def create(mark: str) -> Path:
    """Create a scratch directory for the run with this mark, in shared memory where that exists."""
    shared_memory = Path("/dev/shm")  # noqa: S108 (mkdtemp makes a new directory in it)
    parent = shared_memory if shared_memory.is_dir() else None
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    (directory / _OWNER_FILE).write_text(mark)
    return directory


def remove(path: str, mark: str) -> None:
    """Delete a scratch directory that ``create`` made for this mark; anything else is left alone.

    The path comes from a file that anybody may have edited.
    """
    directory = Path(path)
    owner_file = directory / _OWNER_FILE
    try:
        ours = (
            directory.name.startswith(_PREFIX)
            and not directory.is_symlink()
            and directory.stat().st_uid == os.getuid()
            and not owner_file.is_symlink()
            and owner_file.read_text() == mark
        )
    except (OSError, ValueError):
        return
    if ours:
        shutil.rmtree(directory, ignore_errors=True)
