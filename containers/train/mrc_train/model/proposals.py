"""Proposals from the RPN's outputs, and the RPN's training targets from the ground truth.

Shapes: B images, A anchors over all levels, P proposals, S sampled anchors, G ground-truth boxes
(padded). Boxes are float32 x1, y1, x2, y2 in pixels of the resized image.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from mrc_train.config import Rpn
from mrc_train.model.padding import Padding
from mrc_train.ops import Tensor
from mrc_train.ops import anchors as anchor_ops
from mrc_train.ops import boxes as box_ops
from mrc_train.ops.matcher import FOREGROUND, match
from mrc_train.ops.nms import batched_nms
from mrc_train.ops.sampler import random_keys, sample
from mrc_train.tfgraph import tf

UNIT_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
CROWD = -1
"""Label of a crowd region in ``gt_labels``; 0 is padding."""


class Anchors(NamedTuple):
    """Anchors of one map."""

    boxes: Tensor
    """float32 (A_l, 4); position major, then as ``grid_anchors``"""
    ids: Tensor
    """int32 (A_l,): identifies an anchor independently of the size of the map"""
    exists: Tensor
    """bool (B, A_l): False at locations outside the valid region of an image"""


def level_anchors(
    maps: Sequence[Tensor],
    strides: Sequence[int],
    sizes: Sequence[Sequence[float]],
    ratios: Sequence[float],
    padding: Padding | None = None,
) -> list[Anchors]:
    """Per map (B, h, w, ch): anchors of all sizes and ratios at every location."""
    out = []
    for level, (feature, stride, level_sizes) in enumerate(zip(maps, strides, sizes, strict=True)):
        shape = tf.shape(feature)
        boxes = anchor_ops.grid_anchors(shape[1], shape[2], stride, level_sizes, ratios)
        kinds = len(level_sizes) * len(ratios)
        row, column, kind = tf.meshgrid(
            tf.range(shape[1]), tf.range(shape[2]), tf.range(kinds), indexing="ij"
        )
        ids = ((level * 4096 + row) * 4096 + column) * 16 + kind
        valid = tf.fill(shape[:3], True) if padding is None else padding.mask(feature)
        exists = tf.repeat(tf.reshape(valid, [shape[0], -1]), kinds, axis=1)
        out.append(Anchors(tf.reshape(boxes, [-1, 4]), tf.reshape(ids, [-1]), exists))
    return out


class Proposals(NamedTuple):
    """The best regions of each image, best first."""

    boxes: Tensor
    """float32 (B, P, 4)"""
    valid: Tensor
    """bool (B, P); the rest of the rows are zeros"""


def propose(
    logits: list[Tensor],
    deltas: list[Tensor],
    anchors: list[Anchors],
    image_size: Tensor,
    before_nms: int,
    after_nms: int,
    nms_threshold: float,
    min_size: float,
) -> Proposals:
    """At most ``after_nms`` proposals an image: the best ``before_nms`` of each list entry, NMS in each, then
    the best of all.

    List entries (pyramid levels, or one for all) stand in for classes in the one batched NMS. No gradient
    flows through.

    Args:
        logits, deltas: per entry, (B, A_l), (B, A_l, 4).
        image_size: float32 (B, 2), height and width without padding.
        min_size: shorter proposals are dropped, pixels.
    """
    boxes, scores = [], []
    for level_logits, level_deltas, level in zip(logits, deltas, anchors, strict=True):
        level_logits = tf.where(level.exists, level_logits, tf.fill(tf.shape(level_logits), -math.inf))
        best, index = tf.math.top_k(
            level_logits, tf.minimum(before_nms, tf.shape(level_logits)[1]), sorted=False
        )
        decoded = box_ops.decode(
            tf.gather(level_deltas, index, batch_dims=1), tf.gather(level.boxes, index), UNIT_WEIGHTS
        )
        decoded = box_ops.clip(decoded, image_size)
        sides = decoded[..., 2:] - decoded[..., :2]
        usable = tf.reduce_all(sides > min_size, axis=-1) & (best > -math.inf)
        score = tf.where(usable, tf.sigmoid(best), tf.fill(tf.shape(best), -1.0))
        missing = before_nms - tf.shape(index)[1]
        boxes.append(tf.pad(decoded, [[0, 0], [0, missing], [0, 0]]))
        scores.append(tf.pad(score, [[0, 0], [0, missing]], constant_values=-1.0))
    kept, _, _, count = batched_nms(
        tf.stack(boxes, axis=2),
        tf.stack(scores, axis=2),
        iou_threshold=nms_threshold,
        per_class=after_nms,
        total=after_nms,
        score_threshold=0.0,
    )
    kept.set_shape([None, after_nms, 4])
    return Proposals(tf.stop_gradient(kept), tf.sequence_mask(count, after_nms))


def joined(anchors: Sequence[Anchors]) -> Anchors:
    """The anchors of all maps together."""
    return Anchors(
        tf.concat([level.boxes for level in anchors], 0),
        tf.concat([level.ids for level in anchors], 0),
        tf.concat([level.exists for level in anchors], 1),
    )


class RpnTargets(NamedTuple):
    """Training targets of the RPN for the anchors sampled in this step."""

    index: Tensor
    """int32 (B, S), into the anchors of all levels"""
    sampled: Tensor
    """bool (B, S): False where an image had fewer candidates"""
    foreground: Tensor
    """bool (B, S)"""
    deltas: Tensor
    """float32 (B, S, 4), defined for the foreground"""


def rpn_targets(
    anchors: Anchors, gt_boxes: Tensor, gt_labels: Tensor, image_size: Tensor, seeds: Tensor, settings: Rpn
) -> RpnTargets:
    """Anchors matched to the objects of each image and sampled.

    An anchor whose center is in the padding, or that is in a crowd region, is not a candidate.

    Args:
        seeds: int32 (B, 2).
    """
    batch = tf.shape(gt_boxes)[0]
    tiled = tf.tile(anchors.boxes[None], [batch, 1, 1])
    centre_x, centre_y = (tiled[..., 0] + tiled[..., 2]) / 2, (tiled[..., 1] + tiled[..., 3]) / 2
    ignored = (centre_y > image_size[:, None, 0]) | (centre_x > image_size[:, None, 1]) | ~anchors.exists
    iou = box_ops.pairwise_iou(tiled, gt_boxes)
    matched, labels = match(
        # An anchor in the padding must not become the best anchor of an object.
        tf.where(tf.broadcast_to(ignored[..., None], tf.shape(iou)), tf.zeros_like(iou), iou),
        gt_labels > 0,
        settings.NEGATIVE_ANCHOR_THRESH,
        settings.POSITIVE_ANCHOR_THRESH,
        keep_best_per_gt=True,
    )
    if settings.CROWD_OVERLAP_THRESH <= 1:
        in_crowd = box_ops.pairwise_overlap_of_first(tiled, gt_boxes) > settings.CROWD_OVERLAP_THRESH
        ignored |= tf.reduce_any(in_crowd & tf.equal(gt_labels, CROWD)[:, None], axis=-1)
    labels = tf.where(ignored, -tf.ones_like(labels), labels)
    index, sampled = sample(labels, random_keys(seeds, anchors.ids), settings.BATCH_PER_IM, settings.FG_RATIO)
    boxes = tf.gather(gt_boxes, tf.gather(matched, index, batch_dims=1), batch_dims=1)
    return RpnTargets(
        index,
        sampled,
        sampled & tf.equal(tf.gather(labels, index, batch_dims=1), FOREGROUND),
        box_ops.encode(boxes, tf.gather(anchors.boxes, index), UNIT_WEIGHTS),
    )
