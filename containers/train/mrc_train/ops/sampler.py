"""A random sample of anchors or RoIs with a bounded share of foreground."""

from mrc_train.ops import Tensor
from mrc_train.ops.matcher import BACKGROUND, FOREGROUND
from mrc_train.tfgraph import tf


def sample(labels: Tensor, num: int, fg_fraction: float, seed: Tensor) -> tuple[Tensor, Tensor]:
    """Draw ``num`` of N boxes per image: at most ``int(num * fg_fraction)`` foreground, then background.

    Every candidate is equally likely and drawn at most once. Background fills what foreground leaves;
    foreground never fills what background leaves.

    Args:
        labels: int32 (B, N) of ``matcher.match``; ignored boxes are never drawn.
        seed: int32 (2,).

    Returns:
        indices: int32 (B, num); 0 in slots for which there was no candidate.
        valid: bool (B, num), False in those slots, which come last.
    """
    key = tf.random.stateless_uniform(tf.shape(labels), seed)
    num_boxes = tf.shape(labels)[1]
    nothing = -tf.ones_like(key)
    fg_key, fg_index = tf.math.top_k(
        tf.where(tf.equal(labels, FOREGROUND), key, nothing), tf.minimum(int(num * fg_fraction), num_boxes)
    )
    bg_key, bg_index = tf.math.top_k(
        tf.where(tf.equal(labels, BACKGROUND), key, nothing), tf.minimum(num, num_boxes)
    )
    fg_key = tf.where(fg_key >= 0, fg_key + 1, fg_key)  # above every background key
    # `num` slots of padding: top_k needs as many entries as it returns.
    key = tf.pad(tf.concat([fg_key, bg_key], axis=1), [[0, 0], [0, num]], constant_values=-1.0)
    index = tf.pad(tf.concat([fg_index, bg_index], axis=1), [[0, 0], [0, num]])
    key, slot = tf.math.top_k(key, num)
    valid = key >= 0
    indices = tf.gather(index, slot, batch_dims=1)
    return tf.where(valid, indices, tf.zeros_like(indices)), valid
