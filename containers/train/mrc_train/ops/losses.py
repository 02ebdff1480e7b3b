"""Training losses.

Each image's loss is normalized by its own samples and the batch's is the mean over its images, so that
one batch of two images has the loss of two batches of one. What has no samples has loss 0 and gradient 0.
"""

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf

_HUBER_DELTA = 1 / 9
"""The deviation at which the RPN's box loss becomes linear (smooth L1 with sigma 3, py-faster-rcnn)."""


def rpn_losses(
    logits: Tensor, deltas: Tensor, labels: Tensor, targets: Tensor, valid: Tensor, batch_per_im: int
) -> tuple[Tensor, Tensor]:
    """Objectness and box loss of the sampled anchors: two float32 scalars.

    Both are sums over an image's samples divided by ``batch_per_im``, tensorpack's normalisation, even
    when fewer could be sampled.

    Args:
        logits: (B, S) objectness.
        deltas: (B, S, 4) predicted offsets.
        labels: int32 (B, S), 1 foreground, 0 background.
        targets: float32 (B, S, 4) true offsets, used where foreground.
        valid: bool (B, S), False for slots without a sample.
    """
    logits = tf.cast(logits, tf.float32)
    is_foreground = valid & (labels > 0)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(labels, tf.float32), logits=logits)
    label_loss = tf.reduce_sum(_only(valid, entropy), axis=1) / batch_per_im
    error = tf.abs(_only(is_foreground[..., None], tf.cast(deltas, tf.float32) - targets))
    # Huber's loss divided by delta: slope 1 where linear.
    huber = tf.where(error < _HUBER_DELTA, error**2 / (2 * _HUBER_DELTA), error - _HUBER_DELTA / 2)
    box_loss = tf.reduce_sum(huber, axis=[1, 2]) / batch_per_im
    return tf.reduce_mean(label_loss), tf.reduce_mean(box_loss)


def box_head_losses(
    logits: Tensor, deltas: Tensor, labels: Tensor, targets: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Class and box loss of the sampled RoIs: two float32 scalars.

    Softmax cross entropy, and the absolute error of the true class's offsets over foreground; both
    divided by the number of the image's samples, foreground and background.

    Args:
        logits: (B, S, C).
        deltas: (B, S, C, 4) predicted offsets per class, or (B, S, 1, 4) if class-agnostic.
        labels: int32 (B, S) in [0, C), 0 background.
        targets: float32 (B, S, 4) true offsets, used where foreground.
        valid: bool (B, S), False for slots without a sample.
    """
    num_samples = tf.maximum(tf.reduce_sum(tf.cast(valid, tf.float32), axis=1), 1.0)
    labels = tf.where(valid, labels, tf.zeros_like(labels))
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=tf.cast(logits, tf.float32)
    )
    label_loss = tf.reduce_sum(_only(valid, entropy), axis=1) / num_samples
    of_class = deltas[:, :, 0] if deltas.shape[2] == 1 else tf.gather(deltas, labels, batch_dims=2)
    error = _only((labels > 0)[..., None], tf.cast(of_class, tf.float32) - targets)
    box_loss = tf.reduce_sum(tf.abs(error), axis=[1, 2]) / num_samples
    return tf.reduce_mean(label_loss), tf.reduce_mean(box_loss)


def mask_loss(
    logits: Tensor, labels: Tensor, targets: Tensor, image_index: Tensor, num_images: Tensor
) -> Tensor:
    """Mean sigmoid cross entropy on the true class's map of the foreground RoIs: a float32 scalar.

    Args:
        logits: (N, r, r, C - 1), a map per object class; map 0 is of class 1.
        labels: int32 (N,) in [0, C); rows of class 0 (padding) do not count.
        targets: float32 (N, r, r) of 0 and 1.
        image_index: int32 (N,) in [0, num_images).
        num_images: B, int or int32 scalar; an image without foreground counts as loss 0.
    """
    is_foreground = labels > 0
    of_class = tf.gather(logits, tf.maximum(labels - 1, 0), axis=3, batch_dims=1)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=tf.cast(of_class, tf.float32))
    per_roi = _only(is_foreground, tf.reduce_mean(entropy, axis=[1, 2]))
    sums = tf.math.unsorted_segment_sum(per_roi, image_index, num_images)
    counts = tf.math.unsorted_segment_sum(tf.cast(is_foreground, tf.float32), image_index, num_images)
    return tf.reduce_mean(sums / tf.maximum(counts, 1.0))


def _only(condition: Tensor, value: Tensor) -> Tensor:
    """The value where the condition holds, else 0 with gradient 0, also where the value is inf or NaN."""
    return tf.where(condition, value, tf.zeros_like(value))
