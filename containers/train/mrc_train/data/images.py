"""Reading image files and preparing images for the model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrc_train.config import Config
from mrc_train.data.augment import Transform, resized_size
from mrc_train.data.decoding import UnreadableImage, decode


class WrongSize(UnreadableImage):
    """An image whose size is not the annotated one; height and width are those of the file."""

    def __init__(self, message: str, height: int, width: int) -> None:
        super().__init__(message)
        self.height = height
        self.width = width


SIZE_MULTIPLE = 32
"""Padded heights and widths are multiples of it, since the coarsest upsampled feature map has stride 32."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """BGR uint8 (height, width, 3), rotated as its EXIF orientation requires. Raises UnreadableImage."""
    return decode(_content(path), str(path))


def read_annotated(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    """The BGR uint8 image in the orientation that its annotations refer to.

    Annotation tools measure an image either as stored or as rotated by EXIF. Whichever has the annotated size
    is returned; where both have it, the rotated one. Raises WrongSize when neither has, and UnreadableImage.
    """
    content = _content(path)
    rotated = decode(content, str(path))
    if rotated.shape[:2] == (height, width):
        return rotated
    stored = decode(content, str(path), apply_exif=False)
    if stored.shape[:2] == (height, width):
        return stored
    raise WrongSize(
        f"{path}: {rotated.shape[1]} x {rotated.shape[0]} pixels, annotated as {width} x {height}",
        *rotated.shape[:2],
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"{path}: {error.strerror}") from None


def padded(length: int) -> int:
    """Smallest multiple of SIZE_MULTIPLE that is at least ``length``."""
    return -(-length // SIZE_MULTIPLE) * SIZE_MULTIPLE


def inference_image(cfg: Config, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The model's inputs for a BGR uint8 (h, w, 3) image.

    Returns:
        The resized image as a batch of one, uint8 (1, H, W, 3), zero padded at the bottom and the right, and
        its height and width before padding, float32 (1, 2).
    """
    height, width = image.shape[:2]
    size = resized_size(height, width, cfg.PREPROC.TEST_SHORT_EDGE_SIZE, cfg.PREPROC.MAX_SIZE)
    batch = np.zeros((1, padded(size[0]), padded(size[1]), 3), np.uint8)
    batch[0, : size[0], : size[1]] = Transform(height, width, *size).image(image)
    return batch, np.array([size], np.float32)
