"""Reading pictures and bringing them into the shape that the model takes."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
from mrc_cli.errors import UserError
from numpy.typing import NDArray

from mrc_train.config import Config
from mrc_train.data.augment import Transform, resized_size

SIZE_MULTIPLE = 32
"""Padded heights and widths are multiples of it: the coarsest feature map that is upsampled has stride 32."""


class UnreadableImage(UserError):
    """A picture that cannot be decoded or is not of the annotated size; the message names it."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """BGR uint8 (height, width, 3), turned as its EXIF orientation says. Raises UnreadableImage."""
    return _decode(path, cv2.IMREAD_COLOR)


def read_annotated(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    """BGR uint8 picture of the size that its annotations are for. Raises UnreadableImage for another size.

    Annotations are for the picture either as stored or as turned by EXIF; the one of the right size is taken.
    """
    turned = read_image(path)
    if turned.shape[:2] == (height, width):
        return turned
    stored = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored.shape[:2] == (height, width):
        return stored
    raise UnreadableImage(
        f"{path}: {turned.shape[1]} x {turned.shape[0]} pixels, annotated as {width} x {height}"
    )


def _decode(path: Path, flags: int) -> NDArray[np.uint8]:
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UnreadableImage(f"{path}: {error.strerror}") from None
    try:
        image = cv2.imdecode(content, flags)
    except cv2.error:
        image = None
    if image is None:
        raise UnreadableImage(f"{path}: not a picture that OpenCV can decode")
    return cast(NDArray[np.uint8], image)


def padded(length: int) -> int:
    """Smallest multiple of SIZE_MULTIPLE that is not below ``length``."""
    return -(-length // SIZE_MULTIPLE) * SIZE_MULTIPLE


def inference_image(cfg: Config, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A BGR uint8 (h, w, 3) picture as the model takes it.

    Returns the resized picture in a batch of one, uint8 (1, H, W, 3), zero padded bottom and right, and its
    height and width before padding, float32 (1, 2).
    """
    height, width = image.shape[:2]
    size = resized_size(height, width, cfg.PREPROC.TEST_SHORT_EDGE_SIZE, cfg.PREPROC.MAX_SIZE)
    batch = np.zeros((1, padded(size[0]), padded(size[1]), 3), np.uint8)
    batch[0, : size[0], : size[1]] = Transform(height, width, *size).image(image)
    return batch, np.array([size], np.float32)
