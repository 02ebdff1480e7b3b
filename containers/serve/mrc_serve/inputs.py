"""From the body of a request to images."""

import base64
import binascii
import json

import numpy as np
from mrc_train.data.decoding import UnreadableImage, decode
from numpy.typing import NDArray

from mrc_serve.errors import RequestError
from mrc_serve.image_headers import Npy, read_header


def is_json_lines(body: bytes) -> bool:
    """Whether the body holds JSON lines: no image file starts with a brace."""
    return body.lstrip()[:1] == b"{"


def images_of_lines(body: bytes) -> list[bytes | RequestError]:
    """The image file of each JSON line ``{"image": "<base64>"}``, or what is wrong with the line."""
    return [_image_of_line(line) for line in body.splitlines() if line.strip()]


def _image_of_line(line: bytes) -> bytes | RequestError:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return RequestError(400, 'not a JSON object in one line; expected {"image": "<base64>"}')
    text = entry.get("image") if isinstance(entry, dict) else None
    if not isinstance(text, str):
        return RequestError(400, 'expected {"image": "<base64>"}')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return RequestError(400, "image: not base64")


def decode_image(content: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """Pixels of an image file, BGR uint8 (height, width, 3), as the trainer decodes them.

    Raises:
        RequestError: for anything but an image, and before decoding for more than ``max_pixels``.
    """
    header = read_header(content)
    if header.width * header.height > max_pixels:
        raise RequestError(
            413,
            f"a {header.format} of {header.width} x {header.height} pixels; at most {max_pixels} pixels "
            "(MRC_SERVE_MAX_PIXELS)",
        )
    if header.npy:
        return _pixels(content, header.npy)
    try:
        return decode(content, f"a {header.format}")
    except UnreadableImage:
        raise RequestError(400, f"a {header.format} that is damaged or truncated") from None


def _pixels(content: bytes, npy: Npy) -> NDArray[np.uint8]:
    stored = np.frombuffer(content, np.uint8, offset=npy.offset).reshape(npy.shape)
    if stored.ndim == 2:
        return np.repeat(stored[:, :, None], 3, axis=2)
    return np.ascontiguousarray(stored[:, :, ::-1])
