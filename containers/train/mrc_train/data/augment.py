"""Geometric augmentation: one randomly drawn transform for an image, its boxes, polygons and bitmaps."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from mrc_train.config import Preproc
from mrc_train.data.masks import (
    Bitmap,
    Polygons,
    Segmentation,
    polygons_to_mask,
    resize_bitmap,
    segmentation_to_mask,
)


@dataclass(frozen=True)
class Transform:
    """Resize to (height, width), then mirror left-right, then top-bottom, then swap x and y.

    The last three generate the eight symmetries of the square. Coordinates are continuous (see data.masks),
    so a mirrored x is width - x.
    """

    from_height: int
    from_width: int
    height: int
    width: int
    flip_x: bool = False
    flip_y: bool = False
    transpose: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the result."""
        return (self.width, self.height) if self.transpose else (self.height, self.width)

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(from_height, from_width, channels) -> (*size, channels), bilinear."""
        if image.shape[:2] != (self.height, self.width):
            image = cast(NDArray[np.uint8], cv2.resize(image, (self.width, self.height)))
        return self._mirrored(image)

    def bitmap(self, bitmap: Bitmap) -> Bitmap:
        """(from_height, from_width) -> ``size``."""
        return self._mirrored(resize_bitmap(bitmap, self.height, self.width))

    def _mirrored(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.flip_x:
            array = array[:, ::-1]
        if self.flip_y:
            array = array[::-1]
        return array.swapaxes(0, 1) if self.transpose else array

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) x, y -> (n, 2)."""
        mapped = points * [self.width / self.from_width, self.height / self.from_height]
        if self.flip_x:
            mapped[:, 0] = self.width - mapped[:, 0]
        if self.flip_y:
            mapped[:, 1] = self.height - mapped[:, 1]
        return mapped[:, ::-1] if self.transpose else mapped

    def boxes(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 4) x1, y1, x2, y2 -> (n, 4)."""
        corners = self.points(boxes.reshape(-1, 2).astype(np.float64)).reshape(-1, 2, 2)
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)

    def polygons(self, polygons: Polygons) -> Polygons:
        """Transform the polygons of one object, each (x0, y0, x1, y1, ...)."""
        return [self.points(polygon.reshape(-1, 2)).reshape(-1) for polygon in polygons]

    def mask(self, segmentation: Segmentation) -> Bitmap:
        """Bitmap of ``size``; polygons are transformed before rasterisation, so that edges stay sharp."""
        if isinstance(segmentation, list):
            return polygons_to_mask(self.polygons(segmentation), *self.size)
        return self.bitmap(segmentation_to_mask(segmentation, self.from_height, self.from_width))


def resized_size(height: int, width: int, short_edge: int, max_size: int) -> tuple[int, int]:
    """Size with the given short edge, or with the long edge ``max_size`` if that is smaller.

    Rounded to the nearest pixel and at least 1 (Detectron's rule).
    """
    scale = min(short_edge / min(height, width), max_size / max(height, width))
    return max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)


def draw_transform(
    rng: np.random.Generator, height: int, width: int, preproc: Preproc, transpose: bool
) -> Transform:
    """A random transform of an image of this size; ``transpose`` was drawn for the whole batch."""
    low, high = preproc.TRAIN_SHORT_EDGE_SIZE
    short_edge = int(rng.integers(low, high, endpoint=True))
    flip_x, flip_y = (bool(bit) for bit in rng.integers(2, size=2))
    return Transform(
        height,
        width,
        *resized_size(height, width, short_edge, preproc.MAX_SIZE),
        flip_x=flip_x and preproc.AUGMENT != "none",
        flip_y=flip_y and preproc.AUGMENT == "dihedral",
        transpose=transpose and preproc.AUGMENT == "dihedral",
    )
