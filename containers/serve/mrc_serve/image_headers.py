"""Format and size of an image from its first bytes, so that nothing large is ever decoded to find out.

Formats are recognized by content; names and Content-Type play no part.
"""

import io
import re
import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mrc_serve.errors import RequestError

EXPECTED = "expected a JPEG, PNG, WebP or npy file, or JSON lines with base64"

MAX_NPY_HEADER = 4096
"""Bytes; NumPy writes 128 for an image."""


class Npy(NamedTuple):
    """The header of an npy file with an image."""

    shape: tuple[int, ...]
    offset: int
    """Of the first pixel, in bytes."""


@dataclass(frozen=True)
class Header:
    """What the first bytes say; ``width`` and ``height`` in pixels, before any rotation by EXIF."""

    format: str
    width: int
    height: int
    npy: Npy | None = None


def read_header(content: bytes) -> Header:
    """Header of an image file. Raises RequestError for anything else and for a header without sense."""
    try:
        if content.startswith(b"\xff\xd8\xff"):
            header = Header("JPEG", *_jpeg_size(content))
        elif content.startswith(b"\x89PNG\r\n\x1a\n"):
            header = Header("PNG", *_png_size(content))
        elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            header = Header("WebP", *_webp_size(content))
        elif content.startswith(b"\x93NUMPY"):
            npy = _npy(content)
            header = Header("npy", npy.shape[1], npy.shape[0], npy)
        else:
            raise RequestError(415, _unknown(content))
    except (struct.error, IndexError):
        raise RequestError(400, "the image is truncated within its header") from None
    if header.width < 1 or header.height < 1:
        raise RequestError(400, f"a {header.format} of {header.width} x {header.height} pixels")
    return header


def _unknown(content: bytes) -> str:
    if not content:
        return f"the body is empty; {EXPECTED}"
    if content.startswith(b"--"):
        return f"a multipart form; {EXPECTED} as the body: curl --data-binary @image.jpg"
    if re.match(rb"[A-Za-z0-9+/\r\n]{64}", content):
        return f'base64 or text; {EXPECTED}: {{"image": "<base64>"}}'
    return f"a body that starts with {content[:8].hex(' ')}; {EXPECTED}"


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """From the frame header (ITU-T T.81, B.2.2); bytes between segments are skipped, as libjpeg does."""
    position = 2
    while (position := content.find(b"\xff", position)) >= 0:
        while content[position] == 0xFF:
            position += 1
        marker = content[position]
        position += 1
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # without a segment
            continue
        if marker in (0xD9, 0xDA):  # the end of the image, the start of a scan
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, position + 3)
            _check_end(content, position)
            return width, height
        position += max(2, struct.unpack_from(">H", content, position)[0])
    raise RequestError(400, "a JPEG without a frame header, truncated or damaged")


def _check_end(content: bytes, position: int) -> None:
    """libjpeg paints what a truncated file lacks gray; a server had better say so.

    In a scan, 0xFF is followed by 0x00 or a restart marker, so that the end marker cannot occur by chance.
    """
    if content.find(b"\xff\xd9", content.find(b"\xff\xda", position)) < 0:
        raise RequestError(400, "a JPEG without its end, truncated")


def _png_size(content: bytes) -> tuple[int, int]:
    if content[12:16] != b"IHDR":
        raise RequestError(400, "a PNG whose first chunk is not IHDR, truncated or damaged")
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _webp_size(content: bytes) -> tuple[int, int]:
    """From the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    chunk = content[12:16]
    if chunk == b"VP8X":
        low, high = struct.unpack_from("<IH", content, 24)
        return (low & 0xFFFFFF) + 1, (low >> 24 | high << 8) + 1
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise RequestError(400, "a WebP with an unknown first chunk, truncated or damaged")


def _npy(content: bytes) -> Npy:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read[version](file, max_header_size=MAX_NPY_HEADER)
    except Exception:  # NumPy has Python's own parser read the header, which fails in many ways
        raise RequestError(400, "an npy file with a damaged header") from None
    image = dtype == np.uint8 and not fortran and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3))
    if not image or not all(type(length) is int for length in shape):
        raise RequestError(
            400, f"an npy file of {dtype} {shape}; expected uint8 (height, width, 3) in RGB order, C order"
        )
    missing = file.tell() + int(np.prod(shape, dtype=object)) - len(content)
    if missing and min(shape) > 0:
        size = f"{shape[1]} x {shape[0]} pixels"
        problem = f"{missing} bytes missing" if missing > 0 else f"{-missing} bytes too many"
        raise RequestError(400, f"an npy file of {size} with {problem}")
    return Npy(shape, file.tell())
