"""A random sample of anchors or RoIs with a bounded fraction of foreground."""

from mrc_train.ops import Tensor
from mrc_train.ops.matcher import BACKGROUND, FOREGROUND
from mrc_train.tfgraph import tf


def random_keys(seeds: Tensor, ids: Tensor) -> Tensor:
    """A random number for every box of every image: float32 (B, N) in [0, 1).

    It depends on nothing but the image's seed and the box's id: not on what else is in the batch, nor on
    its padding, so that an image has the same samples alone and in a batch with others.

    Args:
        seeds: int32 (B, 2).
        ids: int32 (N,).
    """
    state = _mixed(_mixed(tf.bitcast(seeds[:, 0], tf.uint32)) ^ tf.bitcast(seeds[:, 1], tf.uint32))
    bits = _mixed(state[:, None] ^ _mixed(tf.bitcast(ids, tf.uint32))[None, :])
    # The upper 24 bits: as many as a float32 holds.
    return tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24


def _mixed(x: Tensor) -> Tensor:
    """Each bit of the result depends on all bits of x (uint32): MurmurHash3's finalizer."""
    x += tf.constant(0x9E3779B9, tf.uint32)  # 0 would stay 0
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ tf.bitwise.right_shift(x, tf.constant(shift, tf.uint32))) * tf.constant(factor, tf.uint32)
    return x ^ tf.bitwise.right_shift(x, tf.constant(16, tf.uint32))


def sample(labels: Tensor, keys: Tensor, num: int, fg_fraction: float) -> tuple[Tensor, Tensor]:
    """Draw ``num`` of N boxes per image: at most ``int(num * fg_fraction)`` foreground, then background.

    Those with the largest keys are drawn, each at most once. Background fills what foreground leaves;
    foreground never fills what background leaves.

    Args:
        labels: int32 (B, N) of ``matcher.match``; ignored boxes are never drawn.
        keys: float32 (B, N) in [0, 1) of ``random_keys``.

    Returns:
        indices: int32 (B, num); 0 in slots for which there was no candidate.
        valid: bool (B, num), False in those slots, which come last.
    """
    num_boxes = tf.shape(labels)[1]
    nothing = -tf.ones_like(keys)
    fg_key, fg_index = tf.math.top_k(
        tf.where(tf.equal(labels, FOREGROUND), keys, nothing), tf.minimum(int(num * fg_fraction), num_boxes)
    )
    bg_key, bg_index = tf.math.top_k(
        tf.where(tf.equal(labels, BACKGROUND), keys, nothing), tf.minimum(num, num_boxes)
    )
    fg_key = tf.where(fg_key >= 0, fg_key + 1, fg_key)  # above every background key
    # `num` slots of padding: top_k needs as many entries as it returns.
    key = tf.pad(tf.concat([fg_key, bg_key], axis=1), [[0, 0], [0, num]], constant_values=-1.0)
    index = tf.pad(tf.concat([fg_index, bg_index], axis=1), [[0, 0], [0, num]])
    key, slot = tf.math.top_k(key, num)
    valid = key >= 0
    indices = tf.gather(index, slot, batch_dims=1)
    return tf.where(valid, indices, tf.zeros_like(indices)), valid
