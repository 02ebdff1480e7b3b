"""Assigns ground-truth boxes to anchors and RoIs."""

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf

FOREGROUND, BACKGROUND, IGNORE = 1, 0, -1


def match(
    iou: Tensor, valid: Tensor, low: float, high: float, keep_best_per_gt: bool
) -> tuple[Tensor, Tensor]:
    """Match each of N boxes to the ground-truth box with which it has the highest IoU.

    Args:
        iou: float32 (B, N, G), G >= 1.
        valid: bool (B, G), False for padding, which never matches.
        low, high: boxes with an IoU below ``low`` are background, those from ``high`` on are foreground, and
            those in between are ignored.
        keep_best_per_gt: the boxes with the highest IoU of a ground-truth box are foreground, whatever that
            IoU, unless it is 0 (rule (i) for anchors in Faster R-CNN). As in Detectron, this includes IoUs
            below ``low``. Tensorpack's example turns those back into background, so that an object without
            a well-fitting anchor is never learned. Such a box is still matched to the ground-truth box
            with which it has the highest IoU itself.

    Returns:
        matched index: int32 (B, N) in [0, G); 0 where the image has no ground truth.
        labels: int32 (B, N), FOREGROUND, BACKGROUND or IGNORE.
    """
    iou = tf.where(valid[:, None, :], iou, -1.0)
    best = tf.reduce_max(iou, axis=2)
    labels = tf.where(best >= low, IGNORE, BACKGROUND)
    is_foreground = best >= high
    if keep_best_per_gt:
        best_of_gt = tf.reduce_max(iou, axis=1, keepdims=True)
        is_foreground |= tf.reduce_any(tf.equal(iou, best_of_gt) & (iou > 0), axis=2)
    labels = tf.where(is_foreground, FOREGROUND, labels)
    return tf.argmax(iou, axis=2, output_type=tf.int32), labels
