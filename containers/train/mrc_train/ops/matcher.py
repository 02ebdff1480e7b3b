"""Matching of anchors and RoIs to ground-truth boxes."""

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf

FOREGROUND, BACKGROUND, IGNORE = 1, 0, -1


def match(
    iou: Tensor, valid: Tensor, low: float, high: float, keep_best_per_gt: bool
) -> tuple[Tensor, Tensor]:
    """Match each of N boxes to the ground-truth box that it overlaps most.

    Args:
        iou: float32 (B, N, G), G >= 1.
        valid: bool (B, G), False for padding, which no box matches.
        low, high: IoU below ``low`` is background, from ``high`` on foreground, between them ignored.
        keep_best_per_gt: the boxes that overlap a ground-truth box most are foreground whatever their
            IoU, unless it is 0 (Faster R-CNN's rule (i) for anchors). As in Detectron they stay
            foreground even below ``low``; tensorpack's example makes those background again, so that
            an object without a well fitting anchor is never learnt. Such a box still matches the
            ground-truth box that *it* overlaps most.

    Returns:
        matched index: int32 (B, N) in [0, G); 0 where the image has no ground truth.
        labels: int32 (B, N), FOREGROUND, BACKGROUND or IGNORE.
    """
    iou = tf.where(valid[:, None, :], iou, -tf.ones_like(iou))
    best = tf.reduce_max(iou, axis=2)
    labels = tf.where(best >= low, tf.fill(tf.shape(best), IGNORE), tf.fill(tf.shape(best), BACKGROUND))
    is_foreground = best >= high
    if keep_best_per_gt:
        best_of_gt = tf.reduce_max(iou, axis=1, keepdims=True)
        is_foreground |= tf.reduce_any(tf.equal(iou, best_of_gt) & (iou > 0), axis=2)
    labels = tf.where(is_foreground, tf.fill(tf.shape(best), FOREGROUND), labels)
    return tf.argmax(iou, axis=2, output_type=tf.int32), labels
