"""Anchors: boxes of fixed sizes and shapes around every position of a feature map."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf


def cell_anchors(size: float, ratios: Sequence[float]) -> npt.NDArray[np.float32]:
    """Anchors of one position, centred at 0: float32 (k, 4), one per ratio.

    Each has the area ``size ** 2`` pixels and the shape height / width = ratio.
    """
    ratio = np.asarray(ratios, np.float64)
    width = size / np.sqrt(ratio)
    height = size * np.sqrt(ratio)
    return np.asarray(np.stack([-width, -height, width, height], axis=1) / 2, np.float32)


def grid_anchors(
    feature_height: Tensor | int,
    feature_width: Tensor | int,
    stride: int,
    size: float,
    ratios: Sequence[float],
    offset: float = 0.5,
) -> Tensor:
    """Anchors of a feature map: float32 (h * w * k, 4) in pixels of the image.

    Position (row, column) is centred at ``((column + offset) * stride, (row + offset) * stride)``.
    Order: rows, columns, ratios, as a convolution's output (h, w, k) flattens.
    Height and width may be int32 scalar tensors.
    """
    cell = tf.constant(cell_anchors(size, ratios))
    centre_x = (tf.cast(tf.range(feature_width), tf.float32) + offset) * stride
    centre_y = (tf.cast(tf.range(feature_height), tf.float32) + offset) * stride
    x, y = tf.meshgrid(centre_x, centre_y)
    centres = tf.stack([x, y, x, y], axis=-1)
    return tf.reshape(centres[:, :, None, :] + cell, [-1, 4])
