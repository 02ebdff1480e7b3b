"""RoIAlign (He et al. 2017, section 3): the features of an RoI, resampled to a fixed size."""

import math
from collections.abc import Sequence

from mrc_train.ops import Tensor
from mrc_train.ops import boxes as box_ops
from mrc_train.tfgraph import tf

_OUTSIDE_MAP = -1e4
"""A coordinate, in feature-map pixels, outside every map."""

_MAX_COORDINATE = 1e7
"""In pixels. Larger coordinates overflow in the sampling kernel, which then reads out of bounds."""


def roi_align(
    features: Tensor,
    boxes: Tensor,
    image_index: Tensor,
    stride: int,
    resolution: int,
    sampling_ratio: int = 2,
    valid_size: Tensor | None = None,
) -> Tensor:
    """Average of ``sampling_ratio ** 2`` bilinear samples in each of resolution x resolution bins.

    Equals Detectron2's RoIAlign with ``aligned=True``: the centre of feature-map pixel i is at
    (i + 0.5) * stride, coordinates are not rounded, samples up to one pixel outside the map have the value
    of its border, and samples farther outside are 0. Boxes without area, or with NaN or inf, give zeros.
    No gradient flows into the boxes.

    Args:
        features: float (B, h, w, channels), h, w >= 1.
        boxes: float32 (N, 4).
        image_index: int32 (N,) in [0, B).
        stride: image pixels per feature-map pixel.
        valid_size: int32 (B, 2), height and width of each image's valid region of the map, if the rest is
            padding. Its border is treated as the border of the map. Boxes must not extend beyond it.

    Returns:
        (N, resolution, resolution, channels), in the dtype of the features.
    """
    # With the border repeated once, crop_and_resize, whose samples are 0 outside the map, follows the rule
    # above. It also keeps maps wider than one pixel: normalized coordinates divide by size - 1.
    padded = tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
    if valid_size is not None:
        padded = _repeat_border(padded, valid_size)
    _, last_row, last_column, _ = tf.unstack(tf.cast(tf.shape(padded) - 1, tf.float32))
    samples = resolution * sampling_ratio

    boxes = tf.stop_gradient(boxes)
    is_usable = (box_ops.area(boxes) > 0) & tf.reduce_all(tf.abs(boxes) < _MAX_COORDINATE, axis=-1)
    boxes = tf.where(is_usable[:, None], boxes, _OUTSIDE_MAP * stride)
    x1, y1, x2, y2 = tf.unstack(boxes / stride + 0.5, axis=-1)  # -0.5 for pixel centres, +1 for the border
    half_step_x = (x2 - x1) / (2 * samples)
    half_step_y = (y2 - y1) / (2 * samples)
    first_and_last = tf.stack(
        [
            (y1 + half_step_y) / last_row,
            (x1 + half_step_x) / last_column,
            (y2 - half_step_y) / last_row,
            (x2 - half_step_x) / last_column,
        ],
        axis=-1,
    )
    sampled = tf.image.crop_and_resize(padded, first_and_last, image_index, [samples, samples])
    pooled = tf.nn.avg_pool2d(sampled, sampling_ratio, sampling_ratio, "VALID")
    return tf.cast(pooled, features.dtype)


def _repeat_border(padded: Tensor, valid_size: Tensor) -> Tensor:
    """Repeat the last row and column of each valid region, in maps (B, h, w, channels) padded by 1."""
    for axis in (1, 2):
        position = tf.range(tf.shape(padded)[axis])
        is_next = tf.equal(position[None, :], valid_size[:, axis - 1, None] + 1)
        is_next = is_next[:, :, None, None] if axis == 1 else is_next[:, None, :, None]
        padded = tf.where(is_next, tf.roll(padded, 1, axis), padded)
    return padded


def assign_levels(boxes: Tensor, canonical_size: float, min_level: int = 2, max_level: int = 5) -> Tensor:
    """Pyramid level of boxes (N, 4): int32 (N,) in [min_level, max_level].

    Equation 1 of Lin et al. 2017 (Feature Pyramid Networks): a box with an area of ``canonical_size ** 2``
    square pixels (224 in the paper) is assigned to level 4, stride 16, and a box of twice that side to the
    next level.
    """
    scale = tf.sqrt(box_ops.area(boxes)) / canonical_size
    level = tf.floor(4 + tf.math.log(scale + 1e-6) / math.log(2))
    return tf.clip_by_value(tf.cast(level, tf.int32), min_level, max_level)


def multilevel_roi_align(
    features: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Tensor,
    image_index: Tensor,
    resolution: int,
    canonical_size: float,
    valid_sizes: Sequence[Tensor] | None = None,
) -> Tensor:
    """``roi_align`` of each box on the pyramid level that matches its size.

    Args:
        features: one (B, h, w, channels) per level, finest first.
        strides: strides of those levels, consecutive powers of 2.
        boxes: float32 (N, 4).
        image_index: int32 (N,) in [0, B).
        valid_sizes: ``valid_size`` of ``roi_align``, one per level.

    Returns:
        (N, resolution, resolution, channels), in the order of the boxes.
    """
    finest = int(math.log2(strides[0]))
    levels = assign_levels(boxes, canonical_size, finest, finest + len(strides) - 1)
    rows, pooled = [], []
    sizes = valid_sizes or [None] * len(strides)
    for number, (level_features, stride, valid_size) in enumerate(
        zip(features, strides, sizes, strict=True), start=finest
    ):
        indices = tf.where(tf.equal(levels, number))[:, 0]
        rows.append(tf.cast(indices, tf.int32))
        pooled.append(
            roi_align(
                level_features,
                tf.gather(boxes, indices),
                tf.gather(image_index, indices),
                stride,
                resolution,
                valid_size=valid_size,
            )
        )
    merged = tf.dynamic_stitch(rows, pooled)
    merged.set_shape([boxes.shape[0], *pooled[0].shape[1:]])
    return merged
