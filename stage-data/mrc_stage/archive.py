"""Members of a zip archive in a bucket, and the ranges of bytes that cover them."""

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple, cast

from mrc_stage.errors import WrongData
from mrc_stage.ranged_file import Ranged, RangedFile

RANGE_BYTES = 8 << 20
"""Of one read. A larger one costs memory and gains nothing; a smaller one costs requests."""

READS_OF_DAMAGED = 4
"""A flipped bit on the way is gone at the next read; one in the bucket is not."""

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
"""Signature, version, flags, method, time, date, CRC-32, two sizes, lengths of name and extra field.
Section 4.3.7 of PKWARE's APPNOTE."""

_ENCRYPTED = 0x1
_UTF8 = 0x800


NO_ARCHIVE = -1
"""The method of a member that is an object by itself, without a header."""


class Member(NamedTuple):
    """A file of an archive, or one that is an object by itself.

    ``start``: of its local header; ``end``: an upper bound of its data's end. ``crc`` and ``sha256`` are None
    and empty if they are not known.
    """

    name: str
    start: int
    end: int
    stored_size: int
    size: int
    crc: int | None
    method: int
    sha256: str = ""


class Archive(NamedTuple):
    """The central directory of an archive. ``digest``: SHA-256 of what it says about the members."""

    members: Sequence[Member]
    directories: Sequence[str]
    digest: str


class Damaged(Exception):
    """The bytes of a member are not those that the directory announces."""


def read_directory(source: Ranged) -> Archive:
    """Read the central directory by ranged reads; the members are in the order of their bytes.

    Raises:
        WrongData: when it is no zip archive, or one with encrypted or unsupported members.
    """
    where = source.name
    try:
        with zipfile.ZipFile(cast(IO[bytes], RangedFile(source))) as file:
            infos = sorted(file.infolist(), key=lambda info: info.header_offset)
            end_of_members = file.start_dir
    except (zipfile.BadZipFile, OSError) as error:
        raise WrongData(f"{where}: not a complete zip archive ({error}). Prepare it again.") from None
    digest = hashlib.sha256()
    members, directories = [], []
    for info, end in zip(infos, [*(i.header_offset for i in infos[1:]), end_of_members], strict=True):
        digest.update(repr((info.orig_filename, info.file_size, info.CRC)).encode())
        if info.is_dir():
            directories.append(info.orig_filename)
            continue
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise WrongData(
                f"{where}: {info.orig_filename} is encrypted or packed by method {info.compress_type}. "
                "Make the archive again with stored or deflated members."
            )
        members.append(
            Member(
                info.orig_filename,
                info.header_offset,
                end,
                info.compress_size,
                info.file_size,
                info.CRC,
                info.compress_type,
            )
        )
    return Archive(members, directories, digest.hexdigest())


def single(name: str, size: int, sha256: str = "") -> Member:
    """A member that is an object by itself."""
    return Member(name, 0, size, size, size, None, NO_ARCHIVE, sha256)


def ranges(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Consecutive members whose bytes fit into one read; a larger member is alone."""
    group: list[Member] = []
    for member in members:
        if group and member.end - group[0].start > RANGE_BYTES:
            yield group
            group = []
        group.append(member)
    if group:
        yield group


def is_large(group: Sequence[Member]) -> bool:
    """Whether a group of ``ranges`` is one member that takes several reads."""
    return group[-1].end - group[0].start > RANGE_BYTES


def data_offset(member: Member, header: memoryview) -> int:
    """Where a member's data begins, counted from the start of its local header.

    Raises:
        Damaged: when the bytes are no local header of this member.
    """
    if member.method == NO_ARCHIVE:
        return 0
    if len(header) < _LOCAL_HEADER.size:
        raise Damaged(f"{member.name}: the local header is cut off")
    signature, _, flags, method, *_, name_length, extra_length = _LOCAL_HEADER.unpack_from(header)
    name = header[_LOCAL_HEADER.size : _LOCAL_HEADER.size + name_length]
    expected = member.name.encode("utf-8" if flags & _UTF8 else "cp437", "replace")
    if signature != b"PK\x03\x04" or method != member.method or name != expected:
        raise Damaged(f"{member.name}: the local header is another one")
    return _LOCAL_HEADER.size + int(name_length) + int(extra_length)


class Contents:
    """The contents of one member, unpacked piece by piece and checked at the end."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._size = self._crc = 0
        self._sha256 = hashlib.sha256() if member.sha256 else None
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == zipfile.ZIP_DEFLATED else None

    def unpack(self, data: bytes | memoryview, limit: int = 0) -> Iterator[bytes | memoryview]:
        """The contents of further bytes, in pieces of at most ``limit`` bytes unless that is 0.

        Raises:
            Damaged: when they cannot be unpacked, or are more than the directory announces.
        """
        if self._inflate is None:
            yield self._count(data)
            return
        try:
            yield self._count(self._inflate.decompress(data, limit or self._member.size + 1))
            while self._inflate.unconsumed_tail:
                tail = self._inflate.unconsumed_tail
                yield self._count(self._inflate.decompress(tail, limit or self._member.size + 1))
        except zlib.error as error:
            raise Damaged(f"{self._member.name}: {error}") from None

    def check(self) -> None:
        """Raises Damaged unless size, CRC-32 and SHA-256 of everything are as announced, where they are."""
        member = self._member
        if self._size != member.size or member.crc not in (None, self._crc):
            raise Damaged(f"{member.name}: size or CRC-32 is not the announced one")
        if self._sha256 and self._sha256.hexdigest() != member.sha256:
            raise Damaged(f"{member.name}: SHA-256 {self._sha256.hexdigest()} instead of {member.sha256}")

    def _count(self, piece: bytes | memoryview) -> bytes | memoryview:
        self._size += len(piece)
        self._crc = zlib.crc32(piece, self._crc)
        if self._sha256:
            self._sha256.update(piece)
        if self._size > self._member.size:
            raise Damaged(f"{self._member.name}: longer than announced")
        return piece


def contents(member: Member, data: memoryview) -> bytes | memoryview:
    """The checked contents of a member from its bytes, which begin with its local header.

    Raises:
        Damaged: when anything differs from the directory.
    """
    offset = data_offset(member, data)
    whole = Contents(member)
    pieces = list(whole.unpack(data[offset : offset + member.stored_size]))
    whole.check()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def large_contents(source: Ranged, member: Member) -> Iterator[bytes | memoryview]:
    """The contents of a member of any size, in pieces from reads of the usual size.

    Raises:
        Damaged: after the last piece at the latest, when anything differs from the directory.
    """
    data = memoryview(source.read(member.start, min(member.end, member.start + RANGE_BYTES)))
    offset = data_offset(member, data)
    end = member.start + offset + member.stored_size
    whole = Contents(member)
    yield from whole.unpack(data[offset : offset + member.stored_size], RANGE_BYTES)
    for start in range(member.start + len(data), end, RANGE_BYTES):
        yield from whole.unpack(source.read(start, min(end, start + RANGE_BYTES)), RANGE_BYTES)
    whole.check()


def read_again_if_damaged(name: str, attempt: Callable[[], None]) -> None:
    """Do this up to READS_OF_DAMAGED times.

    Raises:
        WrongData: when it is Damaged each time.
    """
    for reads in range(1, READS_OF_DAMAGED + 1):
        try:
            return attempt()
        except Damaged as error:
            if reads == READS_OF_DAMAGED:
                raise WrongData(
                    f"{name}: {error}, in {reads} reads. The object is damaged; prepare it again from its "
                    "source."
                ) from None
