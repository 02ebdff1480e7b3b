"""RoIAlign (He et al. 2017, section 3): features of a region, resampled to a fixed size."""

import math
from collections.abc import Sequence

from mrc_train.ops import Tensor
from mrc_train.ops import boxes as box_ops
from mrc_train.tfgraph import tf

_OUTSIDE = -1e4
_LARGEST = 1e7
"""Pixels. Larger coordinates overflow inside the sampling kernel, which then reads outside its memory."""


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

    Exactly Detectron2's ``aligned=True``: pixel i of the map has its centre at (i + 0.5) * stride, no
    coordinate is rounded, samples up to one pixel outside the map take the border's value and those
    farther out count as 0. A box without area, or with NaN or inf, gives zeros. No gradient flows into
    the boxes.

    Args:
        features: float (B, h, w, channels), any h, w >= 1.
        boxes: float32 (N, 4).
        image_index: int32 (N,) in [0, B).
        stride: pixels per feature-map pixel.
        valid_size: int32 (B, 2), height and width of each image's valid region of the map, if the rest is
            padding: its border counts as the map's. Boxes must not reach further.

    Returns:
        (N, resolution, resolution, channels), the dtype of the features.
    """
    # With the border doubled, crop_and_resize's own rule (0 outside the map) becomes the rule above, and
    # no map is one pixel wide, for which its coordinates, in units of size - 1, are undefined.
    padded = tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
    if valid_size is not None:
        padded = _double_border(padded, valid_size)
    shape = tf.cast(tf.shape(padded), tf.float32)
    samples = resolution * sampling_ratio

    boxes = tf.stop_gradient(boxes)
    usable = (box_ops.area(boxes) > 0) & tf.reduce_all(tf.abs(boxes) < _LARGEST, axis=-1)
    boxes = tf.where(usable[:, None], boxes, tf.fill(tf.shape(boxes), _OUTSIDE * stride))
    x1, y1, x2, y2 = tf.unstack(boxes / stride + 0.5, axis=-1)  # -0.5 for pixel centres, +1 for the border
    half_step_x = (x2 - x1) / (2 * samples)
    half_step_y = (y2 - y1) / (2 * samples)
    first_and_last = tf.stack(
        [
            (y1 + half_step_y) / (shape[1] - 1),
            (x1 + half_step_x) / (shape[2] - 1),
            (y2 - half_step_y) / (shape[1] - 1),
            (x2 - half_step_x) / (shape[2] - 1),
        ],
        axis=-1,
    )
    sampled = tf.image.crop_and_resize(padded, first_and_last, image_index, [samples, samples])
    pooled = tf.nn.avg_pool2d(sampled, sampling_ratio, sampling_ratio, "VALID")
    return tf.cast(pooled, features.dtype)


def _double_border(padded: Tensor, valid_size: Tensor) -> Tensor:
    """Repeat the last row and column of each image's valid region once, in maps (B, h, w, ch) padded by 1."""
    for axis in (1, 2):
        row = tf.range(tf.shape(padded)[axis])
        is_next = tf.equal(row[None, :], valid_size[:, axis - 1, None] + 1)
        is_next = is_next[:, :, None, None] if axis == 1 else is_next[:, None, :, None]
        padded = tf.where(is_next, tf.roll(padded, 1, axis), padded)
    return padded


def assign_levels(boxes: Tensor, canonical_size: float, min_level: int = 2, max_level: int = 5) -> Tensor:
    """Pyramid level of boxes (N, 4): int32 (N,) in [min_level, max_level].

    Eq. 1 of Lin et al. 2017 (Feature Pyramid Networks): a box of ``canonical_size`` squared pixels (224
    there) belongs to level 4, of stride 16; each doubling is one level up.
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
    """``roi_align`` of each box on the pyramid level of its size: (N, resolution, resolution, channels).

    Args:
        features: one (B, h, w, channels) per level, finest first.
        strides: of those levels; powers of 2, each twice the one before.
        boxes: float32 (N, 4). Order is kept.
        image_index: int32 (N,) in [0, B).
        valid_sizes: of ``roi_align``, per level.
    """
    finest = int(math.log2(strides[0]))
    levels = assign_levels(boxes, canonical_size, finest, finest + len(strides) - 1)
    rows, pooled = [], []
    sizes = valid_sizes or [None] * len(strides)
    for number, (level_features, stride, valid_size) in enumerate(
        zip(features, strides, sizes, strict=True), start=finest
    ):
        of_level = tf.where(tf.equal(levels, number))[:, 0]
        rows.append(tf.cast(of_level, tf.int32))
        pooled.append(
            roi_align(
                level_features,
                tf.gather(boxes, of_level),
                tf.gather(image_index, of_level),
                stride,
                resolution,
                valid_size=valid_size,
            )
        )
    merged = tf.dynamic_stitch(rows, pooled)
    merged.set_shape([boxes.shape[0], *pooled[0].shape[1:]])
    return merged
