"""RoIs that the box and mask heads are trained on, and their targets.

Shapes: B images, P proposals, G ground-truth boxes (padded), S sampled RoIs per image.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mrc_train.config import Frcnn
from mrc_train.model.proposals import Proposals
from mrc_train.ops import Tensor
from mrc_train.ops import boxes as box_ops
from mrc_train.ops.matcher import FOREGROUND, match
from mrc_train.ops.sampler import random_keys, sample
from mrc_train.tfgraph import tf


class Rois(NamedTuple):
    """RoIs of a training step with their ground truth. ``sample_rois`` returns foreground first."""

    boxes: Tensor
    """float32 (B, S, 4)"""
    valid: Tensor
    """bool (B, S): False for slots without a sample"""
    labels: Tensor
    """int32 (B, S): class, 0 for background"""
    gt_index: Tensor
    """int32 (B, S): index of the matched ground-truth box, undefined for background"""


def sample_rois(
    proposals: Proposals, gt_boxes: Tensor, gt_labels: Tensor, seeds: Tensor, settings: Frcnn
) -> Rois:
    """Match proposals and the ground-truth boxes themselves at ``FRCNN.FG_THRESH``, and sample them.

    Args:
        gt_boxes: float32 (B, G, 4).
        gt_labels: int32 (B, G), positive for objects.
        seeds: int32 (B, 2).
    """
    is_object = gt_labels > 0
    boxes = tf.concat([proposals.boxes, gt_boxes], axis=1)
    valid = tf.concat([proposals.valid, is_object], axis=1)
    matched, labels = match(
        box_ops.pairwise_iou(boxes, gt_boxes),
        is_object,
        settings.FG_THRESH,
        settings.FG_THRESH,
        keep_best_per_gt=False,
    )
    labels = tf.where(valid, labels, -1)
    keys = random_keys(seeds, tf.range(tf.shape(boxes)[1]))
    index, sampled = sample(labels, keys, settings.BATCH_PER_IM, settings.FG_RATIO)
    gt_index = tf.gather(matched, index, batch_dims=1)
    foreground = sampled & tf.equal(tf.gather(labels, index, batch_dims=1), FOREGROUND)
    return Rois(
        tf.gather(boxes, index, batch_dims=1), sampled, _classes(foreground, gt_index, gt_labels), gt_index
    )


def rematch(rois: Rois, boxes: Tensor, gt_boxes: Tensor, gt_labels: Tensor, iou_threshold: float) -> Rois:
    """Replace the boxes of RoIs by ``boxes`` (B, S, 4) and match them again.

    RoIs whose new box has no area become invalid.
    """
    matched, labels = match(
        box_ops.pairwise_iou(boxes, gt_boxes),
        gt_labels > 0,
        iou_threshold,
        iou_threshold,
        keep_best_per_gt=False,
    )
    valid = rois.valid & (box_ops.area(boxes) > 0)
    return Rois(boxes, valid, _classes(valid & tf.equal(labels, FOREGROUND), matched, gt_labels), matched)


def _classes(foreground: Tensor, gt_index: Tensor, gt_labels: Tensor) -> Tensor:
    classes = tf.gather(gt_labels, gt_index, batch_dims=1)
    return tf.where(foreground, classes, 0)


def box_targets(rois: Rois, gt_boxes: Tensor, weights: Sequence[float]) -> Tensor:
    """Offsets from RoIs to their matched ground-truth boxes: float32 (B, S, 4), undefined for background."""
    return box_ops.encode(tf.gather(gt_boxes, rois.gt_index, batch_dims=1), rois.boxes, weights)
