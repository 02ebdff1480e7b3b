"""What is read in ranges, and the same as a read-only file: only what is read is fetched."""

import io
from collections.abc import Callable
from typing import NamedTuple

READ_AHEAD = 1 << 20
"""Bytes of one request. zipfile reads the end of an archive in small steps."""


class Ranged(NamedTuple):
    """An object of a bucket, a file, or one of a public server.

    ``name`` is for messages. ``read`` returns bytes ``start`` to ``end`` (exclusive), from several threads.
    """

    name: str
    size: int
    read: Callable[[int, int], bytes]


class RangedFile(io.RawIOBase):
    """A seekable file over ranged reads, for zipfile to read an archive's central directory from."""

    def __init__(self, source: Ranged) -> None:
        self._source = source
        self._position = 0
        self._start, self._window = 0, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise OSError("seek before the start of the file")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        remaining = max(0, self._source.size - self._position)
        size = remaining if size < 0 else min(size, remaining)
        first = self._position - self._start
        if not 0 <= first <= first + size <= len(self._window):
            # An archive is read from its end, so a window reaches to the end of the object.
            end = min(self._source.size, self._position + max(size, READ_AHEAD))
            self._start = min(self._position, max(0, end - READ_AHEAD))
            self._window = self._source.read(self._start, end)
            first = self._position - self._start
        self._position += size
        return self._window[first : first + size]
