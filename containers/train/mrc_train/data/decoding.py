"""Decoding of image files. Needs OpenCV alone: neither TensorFlow nor tensorpack is imported."""

from typing import cast

import cv2
import numpy as np
from mrc_cli.errors import UserError
from numpy.typing import NDArray


class UnreadableImage(UserError):
    """An image that cannot be decoded, or whose size is not the annotated one; the message names it."""


def decode(content: bytes, name: str, apply_exif: bool = True) -> NDArray[np.uint8]:
    """Pixels of an image file, BGR uint8 (height, width, 3), rotated as its EXIF orientation requires.

    Every format that OpenCV reads is accepted. Gray images get three equal channels, an alpha channel is
    dropped, CMYK is converted, and of 16 bits the upper 8 are kept.

    Args:
        name: the file's, for the error message.
        apply_exif: False gives the pixels in the order in which they are stored.

    Raises:
        UnreadableImage: for a file that OpenCV cannot decode, such as a truncated PNG or a text file, and for
            an image of more than 2**30 pixels, which is rejected before it is decoded.
    """
    flags = cv2.IMREAD_COLOR if apply_exif else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise UnreadableImage(f"{name}: not an image that OpenCV can decode")
    return cast(NDArray[np.uint8], image)
