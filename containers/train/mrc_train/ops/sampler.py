"""Random sampling of anchors and RoIs with a limited fraction of foreground."""

from mrc_train.ops import Tensor
from mrc_train.ops.matcher import BACKGROUND, FOREGROUND
from mrc_train.tfgraph import tf


def random_keys(seeds: Tensor, ids: Tensor) -> Tensor:
    """One random number for each box of each image: float32 (B, N) in [0, 1).

    It depends only on the image's seed and the box's id, not on the rest of the batch or on padding, so that
    an image has the same samples in every batch.

    Args:
        seeds: int32 (B, 2).
        ids: int32 (N,).
    """
    state = _hash(_hash(tf.bitcast(seeds[:, 0], tf.uint32)) ^ tf.bitcast(seeds[:, 1], tf.uint32))
    bits = _hash(state[:, None] ^ _hash(tf.bitcast(ids, tf.uint32))[None, :])
    # A float32 has a precision of 24 bits.
    return tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24


def _hash(x: Tensor) -> Tensor:
    """Hash of uint32 x, each bit of which depends on all bits of x: the finalizer of MurmurHash3."""
    x += tf.constant(0x9E3779B9, tf.uint32)  # the hash of 0 is not 0
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ tf.bitwise.right_shift(x, tf.constant(shift, tf.uint32))) * tf.constant(factor, tf.uint32)
    return x ^ tf.bitwise.right_shift(x, tf.constant(16, tf.uint32))


def sample(labels: Tensor, keys: Tensor, num: int, fg_fraction: float) -> tuple[Tensor, Tensor]:
    """Sample up to ``num`` of N boxes per image without replacement, by the largest keys.

    At most ``int(num * fg_fraction)`` of them are foreground. Background fills the remaining slots; where
    there is too little background, slots stay empty.

    Args:
        labels: int32 (B, N) from ``matcher.match``; ignored boxes are never sampled.
        keys: float32 (B, N) in [0, 1), from ``random_keys``.

    Returns:
        indices: int32 (B, num); foreground first; 0 in empty slots, which come last.
        valid: bool (B, num), False in empty slots.
    """
    num_boxes = tf.shape(labels)[1]
    fg_key, fg_index = tf.math.top_k(
        tf.where(tf.equal(labels, FOREGROUND), keys, -1.0),
        tf.minimum(int(num * fg_fraction), num_boxes),
    )
    bg_key, bg_index = tf.math.top_k(
        tf.where(tf.equal(labels, BACKGROUND), keys, -1.0), tf.minimum(num, num_boxes)
    )
    fg_key = tf.where(fg_key >= 0, fg_key + 1, fg_key)  # above every background key
    # Pad by `num` slots, since top_k needs at least as many entries as it returns.
    key = tf.pad(tf.concat([fg_key, bg_key], axis=1), [[0, 0], [0, num]], constant_values=-1.0)
    index = tf.pad(tf.concat([fg_index, bg_index], axis=1), [[0, 0], [0, num]])
    key, slot = tf.math.top_k(key, num)
    valid = key >= 0
    indices = tf.gather(index, slot, batch_dims=1)
    return tf.where(valid, indices, 0), valid
