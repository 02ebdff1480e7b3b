"""Writing files so that neither a reader nor a power failure ever sees half of one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Replace ``path`` by a file with this content; text is encoded as UTF-8.

    A reader sees the old content or the new one, never a part, and so does the next start after a crash: the
    file and its directory are flushed to the disk. ``mode`` holds the file's permission bits.

    Raises:
        OSError: when the file cannot be written; it names ``path``, where the old content is still there.
    """
    data = content.encode() if isinstance(content, str) else content
    with naming(path):
        _replace(path, data, mode)
    flush_directory(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError within the block names this file. Writing to an open file names none."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _replace(path: Path, data: bytes, mode: int) -> None:
    # NFS and Lustre rename atomically only within one directory.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def flush_directory(path: Path) -> None:
    """Make renames within a directory durable. File systems that cannot flush directories are left alone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
