"""Targets of the mask head: the matched ground-truth mask, cropped to each RoI."""

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf

_SAMPLING_RATIO = 2


def crop_mask_targets(
    packed: Tensor, image_index: Tensor, gt_index: Tensor, boxes: Tensor, resolution: int
) -> Tensor:
    """Crop one bit-packed mask per box and resample it: float32 (N, resolution, resolution), values 0 and 1.

    A bin is 1 if the average of its bilinear samples (RoIAlign of the mask, ``aligned=True``) is at least
    0.5. Only the sampled bytes are read, so memory grows with N * resolution ** 2 and not with the size of
    the masks.

    Args:
        packed: uint8 (B, G, H, W / 8), from ``np.packbits`` along the width; bits outside the image are 0.
        image_index: int32 (N,) in [0, B).
        gt_index: int32 (N,) in [0, G).
        boxes: float32 (N, 4). The mask of a box without area, or with NaN or inf, is undefined.
    """
    shape = tf.shape(packed, out_type=tf.int64)
    height, row_bytes = shape[2], shape[3]
    x, weight_x = _corners(boxes[:, 0], boxes[:, 2], resolution, row_bytes * 8)
    y, weight_y = _corners(boxes[:, 1], boxes[:, 3], resolution, height)

    mask = tf.cast(image_index, tf.int64) * shape[1] + tf.cast(gt_index, tf.int64)
    row_start = (mask[:, None] * height + y) * row_bytes
    byte_index = row_start[:, :, None] + (x // 8)[:, None, :]
    byte = tf.gather(tf.reshape(packed, [-1]), byte_index)
    bit = tf.bitwise.bitwise_and(tf.bitwise.right_shift(byte, tf.cast(7 - x % 8, tf.uint8)[:, None, :]), 1)

    # Bilinear weights are separable, so rows and columns are weighted independently.
    weighted = tf.cast(bit, tf.float32) * weight_y[:, :, None] * weight_x[:, None, :]
    per_bin = 2 * _SAMPLING_RATIO
    bins = tf.reshape(weighted, [-1, resolution, per_bin, resolution, per_bin])
    return tf.cast(tf.reduce_sum(bins, axis=[2, 4]) >= 0.5, tf.float32)


def _corners(low: Tensor, high: Tensor, resolution: int, size: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel indices and weights of the bilinear samples along one axis.

    Two neighbours per sample and ``_SAMPLING_RATIO`` samples per bin: int64 and float32
    (N, resolution * _SAMPLING_RATIO * 2). The weights of a bin add up to 1, or to less outside the mask.
    """
    samples = resolution * _SAMPLING_RATIO
    step = (high - low) / samples
    centre = low[:, None] + (tf.range(samples, dtype=tf.float32) + 0.5) * step[:, None] - 0.5
    is_inside = (centre >= -1) & (centre <= tf.cast(size, tf.float32))
    left = tf.floor(centre)
    right_weight = centre - left
    pixels = tf.stack([left, left + 1], axis=-1)
    weights = tf.stack([1 - right_weight, right_weight], axis=-1) / _SAMPLING_RATIO
    weights = tf.where(is_inside[..., None], weights, tf.zeros_like(weights))
    pixels = tf.clip_by_value(tf.cast(pixels, tf.int64), 0, size - 1)
    return tf.reshape(pixels, [-1, 2 * samples]), tf.reshape(weights, [-1, 2 * samples])
