"""Boxes: area, overlap, clipping, and encoding as offsets ("deltas") from an anchor."""

import math
from collections.abc import Sequence

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf

MAX_LOG_RATIO = math.log(1000 / 16)
"""Upper limit of dw and dh in ``decode``, as in Detectron: a 16 pixel anchor grows to at most 1000 pixels."""

_MIN_SIDE = 1e-3
"""In pixels. Shorter sides are encoded as if they had this length, so that offsets stay finite."""


def area(boxes: Tensor) -> Tensor:
    """Area in square pixels of boxes (..., 4): float32 (...). The area is 0 where x2 < x1 or y2 < y1."""
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return tf.maximum(x2 - x1, 0.0) * tf.maximum(y2 - y1, 0.0)


def pairwise_intersection(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Intersection area of every pair of (B, N, 4) and (B, M, 4): float32 (B, N, M)."""
    ax1, ay1, ax2, ay2 = tf.split(boxes_a, 4, axis=-1)  # (B, N, 1) each
    bx1, by1, bx2, by2 = (b[:, None, :] for b in tf.unstack(boxes_b, axis=-1))  # (B, 1, M) each
    width = tf.maximum(tf.minimum(ax2, bx2) - tf.maximum(ax1, bx1), 0.0)
    height = tf.maximum(tf.minimum(ay2, by2) - tf.maximum(ay1, by1), 0.0)
    return width * height


def pairwise_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Intersection over union of every pair of (B, N, 4) and (B, M, 4): float32 (B, N, M).

    The IoU of two boxes without area is 0.
    """
    intersection = pairwise_intersection(boxes_a, boxes_b)
    union = area(boxes_a)[:, :, None] + area(boxes_b)[:, None, :] - intersection
    return tf.math.divide_no_nan(intersection, union)


def pairwise_intersection_over_first(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Intersection divided by the area of the first box, for every pair: float32 (B, N, M).

    This measures overlap with crowds: an object inside a crowd box has a small IoU with it, but is covered
    completely.
    """
    return tf.math.divide_no_nan(pairwise_intersection(boxes_a, boxes_b), area(boxes_a)[:, :, None])


def clip(boxes: Tensor, image_size: Tensor) -> Tensor:
    """Clip boxes (B, ..., 4) to their images.

    Args:
        image_size: (B, 2), height and width in pixels, integer or float.
    """
    height, width = tf.unstack(tf.cast(image_size, boxes.dtype), axis=-1)
    limit = tf.stack([width, height, width, height], axis=-1)
    limit = tf.reshape(limit, [-1] + [1] * (boxes.shape.rank - 2) + [4])
    return tf.maximum(tf.minimum(boxes, limit), 0.0)


def encode(boxes: Tensor, anchors: Tensor, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Offsets dx, dy, dw, dh from anchors (..., 4) to boxes (..., 4), with broadcasting: float32 (..., 4).

    The parametrization is that of R-CNN (Girshick et al. 2014, appendix C) multiplied by the weights: the
    shift of the centre relative to the anchor's size, and the logarithm of the ratio of the sizes. Finite
    even for boxes and anchors without area.
    """
    x, y, width, height = _centre_and_size(boxes)
    ax, ay, anchor_width, anchor_height = _centre_and_size(anchors)
    width, height, anchor_width, anchor_height = (
        tf.maximum(side, _MIN_SIDE) for side in (width, height, anchor_width, anchor_height)
    )
    deltas = [
        (x - ax) / anchor_width,
        (y - ay) / anchor_height,
        tf.math.log(width / anchor_width),
        tf.math.log(height / anchor_height),
    ]
    return tf.stack(deltas, axis=-1) * tf.constant(weights, tf.float32)


def decode(
    deltas: Tensor,
    anchors: Tensor,
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    max_log_ratio: float = MAX_LOG_RATIO,
) -> Tensor:
    """Boxes (..., 4) from offsets (..., 4) and anchors, with broadcasting; the inverse of ``encode``.

    dw and dh are limited to ``max_log_ratio``. Boxes with a coordinate that would be inf or NaN become
    (0, 0, 0, 0), so that later operations do not crash when training diverges.
    """
    dx, dy, dw, dh = tf.unstack(deltas / tf.constant(weights, tf.float32), axis=-1)
    ax, ay, anchor_width, anchor_height = _centre_and_size(anchors)
    x = dx * anchor_width + ax
    y = dy * anchor_height + ay
    half_width = 0.5 * anchor_width * tf.exp(tf.minimum(dw, max_log_ratio))
    half_height = 0.5 * anchor_height * tf.exp(tf.minimum(dh, max_log_ratio))
    boxes = tf.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=-1)
    is_finite = tf.reduce_all(tf.math.is_finite(boxes), axis=-1, keepdims=True)
    return tf.where(is_finite, boxes, 0.0)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return 0.5 * (x1 + x2), 0.5 * (y1 + y2), x2 - x1, y2 - y1
