"""Faults that a process chooses for itself; ``faulty_files.c`` is preloaded into it."""

import contextlib
import ctypes
import errno
from collections.abc import Iterator

NUMBERS = (errno.ENOSPC, errno.EIO, errno.ESTALE)

_library = ctypes.CDLL(None)


def begin(text: str, number: int) -> None:
    """From now on writing to files whose path contains the text fails."""
    _library.fault_set(text.encode(), number)


def end() -> int:
    """Every write succeeds again; returns how many have failed."""
    hits: int = _library.fault_hits()
    _library.fault_set(b"", 0)
    return hits


@contextlib.contextmanager
def fault(text: str, number: int) -> Iterator[None]:
    """Writing to files whose path contains the text fails within the block, at least once."""
    begin(text, number)
    try:
        yield
    finally:
        hits = end()
    assert hits, f"nothing was written to {text}"
