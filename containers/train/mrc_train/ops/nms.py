"""Batched, class-wise non-maximum suppression (NMS)."""

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    per_class: int,
    total: int,
    score_threshold: float = float("-inf"),
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Greedy NMS in each class of each image.

    Used for detections, with K object classes, and for proposals, with the K pyramid levels as classes.

    Args:
        boxes: float32 (B, N, 4) shared by all K classes, or (B, N, K, 4), in pixels. They are not clipped.
        scores: float32 (B, N, K). Boxes whose score is NaN or not above ``score_threshold``, and those with
            coordinates that are not finite, are left out. Give padding the score -inf.
        iou_threshold: a box is dropped when its IoU with a kept one is above this threshold; equal is kept.
        per_class: maximum number of boxes kept per class.
        total: number of boxes returned per image, the best of all classes.

    Returns, by descending score and padded with zeros after the first ``valid_count``:
        boxes: float32 (B, total, 4).
        scores: float32 (B, total).
        classes: int32 (B, total) in [0, K).
        valid_count: int32 (B,).
    """
    if boxes.shape.rank == 3:
        boxes = boxes[:, :, None, :]
    is_finite = tf.reduce_all(tf.math.is_finite(boxes), axis=-1)
    scores = tf.where(is_finite, scores, float("-inf"))
    kept = tf.raw_ops.CombinedNonMaxSuppression(
        boxes=boxes,
        scores=scores,
        max_output_size_per_class=per_class,
        max_total_size=total,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        pad_per_class=False,
        clip_boxes=False,
    )
    return kept.nmsed_boxes, kept.nmsed_scores, tf.cast(kept.nmsed_classes, tf.int32), kept.valid_detections
