"""Training losses.

The loss of an image is normalized by its own samples, and the loss of a batch is the mean over its images.
A batch of two images therefore has the same loss as two batches of one. Without samples, loss and gradient
are 0.
"""

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf

_HUBER_DELTA = 1 / 9
"""Error at which the RPN's box loss changes from quadratic to linear (smooth L1, sigma 3, py-faster-rcnn)."""


def rpn_losses(
    logits: Tensor, deltas: Tensor, labels: Tensor, targets: Tensor, valid: Tensor, batch_per_im: int
) -> tuple[Tensor, Tensor]:
    """Objectness and box loss of the sampled anchors: two float32 scalars.

    Both are sums over an image's samples divided by ``batch_per_im``, even when fewer anchors could be
    sampled, as in tensorpack.

    Args:
        logits: (B, S) objectness.
        deltas: (B, S, 4) predicted offsets.
        labels: int32 (B, S), 1 foreground, 0 background.
        targets: float32 (B, S, 4) target offsets, used for foreground only.
        valid: bool (B, S), False for slots without a sample.
    """
    logits = tf.cast(logits, tf.float32)
    is_foreground = valid & (labels > 0)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(labels, tf.float32), logits=logits)
    label_loss = tf.reduce_sum(_zero_unless(valid, entropy), axis=1) / batch_per_im
    error = tf.abs(_zero_unless(is_foreground[..., None], tf.cast(deltas, tf.float32) - targets))
    # Huber loss divided by delta: the linear part has slope 1.
    huber = tf.where(error < _HUBER_DELTA, error**2 / (2 * _HUBER_DELTA), error - _HUBER_DELTA / 2)
    box_loss = tf.reduce_sum(huber, axis=[1, 2]) / batch_per_im
    return tf.reduce_mean(label_loss), tf.reduce_mean(box_loss)


def box_head_losses(
    logits: Tensor, deltas: Tensor, labels: Tensor, targets: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Class and box loss of the sampled RoIs: two float32 scalars.

    The class loss is the softmax cross entropy, the box loss the L1 error of the offsets of the ground-truth
    class, over foreground RoIs. Both are divided by the number of the image's samples, foreground and
    background.

    Args:
        logits: (B, S, C).
        deltas: (B, S, C, 4) predicted offsets per class, or class-agnostic (B, S, 1, 4).
        labels: int32 (B, S) in [0, C), 0 background.
        targets: float32 (B, S, 4) target offsets, used for foreground only.
        valid: bool (B, S), False for slots without a sample.
    """
    num_samples = tf.maximum(tf.reduce_sum(tf.cast(valid, tf.float32), axis=1), 1.0)
    labels = tf.where(valid, labels, 0)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=tf.cast(logits, tf.float32)
    )
    label_loss = tf.reduce_sum(_zero_unless(valid, entropy), axis=1) / num_samples
    class_deltas = deltas[:, :, 0] if deltas.shape[2] == 1 else tf.gather(deltas, labels, batch_dims=2)
    error = _zero_unless((labels > 0)[..., None], tf.cast(class_deltas, tf.float32) - targets)
    box_loss = tf.reduce_sum(tf.abs(error), axis=[1, 2]) / num_samples
    return tf.reduce_mean(label_loss), tf.reduce_mean(box_loss)


def mask_loss(
    logits: Tensor, labels: Tensor, targets: Tensor, image_index: Tensor, num_images: Tensor
) -> Tensor:
    """Mean sigmoid cross entropy of foreground RoIs on the mask of their ground-truth class: float32 scalar.

    Args:
        logits: (N, r, r, C - 1), one mask per object class; mask 0 is class 1.
        labels: int32 (N,) in [0, C); rows of class 0 (padding) are left out.
        targets: float32 (N, r, r) with values 0 and 1.
        image_index: int32 (N,) in [0, num_images).
        num_images: B, int or int32 scalar; the loss of an image without foreground is 0.
    """
    is_foreground = labels > 0
    class_logits = tf.gather(logits, tf.maximum(labels - 1, 0), axis=3, batch_dims=1)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(
        labels=targets, logits=tf.cast(class_logits, tf.float32)
    )
    per_roi = _zero_unless(is_foreground, tf.reduce_mean(entropy, axis=[1, 2]))
    sums = tf.math.unsorted_segment_sum(per_roi, image_index, num_images)
    counts = tf.math.unsorted_segment_sum(tf.cast(is_foreground, tf.float32), image_index, num_images)
    return tf.reduce_mean(sums / tf.maximum(counts, 1.0))


def _zero_unless(condition: Tensor, value: Tensor) -> Tensor:
    """The value where the condition holds; elsewhere 0, with gradient 0 even if the value is inf or NaN."""
    return tf.where(condition, value, tf.zeros_like(value))
