"""Anchors: boxes of fixed sizes and aspect ratios at every location of a feature map."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> npt.NDArray[np.float32]:
    """Anchors of one location, centred at 0: float32 (k, 4), all ratios of the first size, then of the next.

    Each anchor has an area of ``size ** 2`` square pixels, and height / width equals its ratio.
    """
    size, ratio = (grid.ravel() for grid in np.meshgrid(sizes, ratios, indexing="ij"))
    width = size / np.sqrt(ratio)
    height = size * np.sqrt(ratio)
    return np.asarray(np.stack([-width, -height, width, height], axis=1) / 2, np.float32)


def grid_anchors(
    feature_height: Tensor | int,
    feature_width: Tensor | int,
    stride: int,
    sizes: Sequence[float],
    ratios: Sequence[float],
) -> Tensor:
    """Anchors of a feature map: float32 (h, w, k, 4) in pixels of the image.

    The anchors at (row, column) are centred at x, y = ``column * stride, row * stride``, the centre of that
    location's receptive field in a ResNet, as in tensorpack, Detectron2 and torchvision. Height and width
    may be int32 scalar tensors.
    """
    cell = tf.constant(cell_anchors(sizes, ratios))
    x, y = tf.meshgrid(
        tf.cast(tf.range(feature_width), tf.float32) * stride,
        tf.cast(tf.range(feature_height), tf.float32) * stride,
    )
    centres = tf.stack([x, y, x, y], axis=-1)
    return tf.expand_dims(centres, 2) + cell
