"""The three heads: region proposals, boxes, masks."""

from typing import Any

from mrc_train.config import Fpn
from mrc_train.model.norms import GroupNorm
from mrc_train.model.padding import Padding, cleared
from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf, v1

from tensorpack.models import Conv2D, Conv2DTranspose, FullyConnected  # isort: skip
from tensorpack.tfutils import argscope  # isort: skip


def _normal(stddev: float) -> Any:
    return v1.random_normal_initializer(stddev=stddev)


def _he_normal() -> Any:
    return v1.variance_scaling_initializer(scale=2.0, mode="fan_out", distribution="untruncated_normal")


def rpn_head(
    maps: list[Tensor], channels: int, num_anchors: int, padding: Padding | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Objectness logits and box deltas of every anchor, one set of weights for all maps.

    Returns:
        per map, logits (B, h*w*num_anchors) and deltas (B, h*w*num_anchors, 4); position major.
    """
    logits, deltas = [], []
    for level, feature in enumerate(maps):
        with v1.variable_scope("rpn", reuse=level > 0), argscope(Conv2D, kernel_initializer=_normal(0.01)):
            hidden = Conv2D("conv0", cleared(feature, padding), channels, 3, activation=tf.nn.relu)
            objectness, boxes = (
                Conv2D("class", hidden, num_anchors, 1),
                Conv2D("box", hidden, 4 * num_anchors, 1),
            )
        batch = tf.shape(feature)[0]
        logits.append(tf.reshape(objectness, [batch, -1]))
        deltas.append(tf.reshape(boxes, [batch, -1, 4]))
    return logits, deltas


def box_head(rois: Tensor, settings: Fpn) -> Tensor:
    """What the box outputs are computed from, (N, FRCNN_FC_HEAD_DIM), of RoI features (N, 7, 7, ch)."""
    hidden = rois
    if settings.FRCNN_HEAD_FUNC == "fastrcnn_2fc_head":
        hidden = _dense("fc6", _flat(hidden), settings.FRCNN_FC_HEAD_DIM)
        return _dense("fc7", hidden, settings.FRCNN_FC_HEAD_DIM)
    for k in range(4):
        hidden = Conv2D(
            f"conv{k}",
            hidden,
            settings.FRCNN_CONV_HEAD_DIM,
            3,
            activation=tf.nn.relu,
            kernel_initializer=_he_normal(),
        )
        if settings.FRCNN_HEAD_FUNC == "fastrcnn_4conv1fc_gn_head":
            hidden = GroupNorm(f"gn{k}", hidden)
    return _dense("fc", _flat(hidden), settings.FRCNN_FC_HEAD_DIM)


def box_outputs(hidden: Tensor, num_classes: int, class_agnostic: bool) -> tuple[Tensor, Tensor]:
    """Class logits (N, C) and box deltas (N, C, 4), or (N, 1, 4) for all classes alike, of (N, ch).

    Class 0 is the background.
    """
    num_boxes = 1 if class_agnostic else num_classes
    logits = FullyConnected("class", hidden, num_classes, kernel_initializer=_normal(0.01))
    deltas = FullyConnected("box", hidden, num_boxes * 4, kernel_initializer=_normal(0.001))
    return logits, tf.reshape(deltas, [-1, num_boxes, 4])


def _flat(rois: Tensor) -> Tensor:
    """Channel first, the order in which tensorpack's weights for the first dense layer are stored."""
    _, height, width, channels = rois.shape.as_list()
    return tf.reshape(tf.transpose(rois, [0, 3, 1, 2]), [-1, channels * height * width])


def _dense(name: str, x: Tensor, units: int) -> Tensor:
    return FullyConnected(
        name, x, units, activation=tf.nn.relu, kernel_initializer=v1.variance_scaling_initializer()
    )


def mask_head(
    rois: Tensor, num_masks: int, num_convs: int, channels: int, group_norm: bool = False
) -> Tensor:
    """Mask logits (N, 2r, 2r, num_masks) of RoI features (N, r, r, ch); none for the background."""
    with (
        v1.variable_scope("maskrcnn"),
        argscope([Conv2D, Conv2DTranspose], kernel_initializer=_he_normal()),
    ):
        hidden = rois
        for k in range(num_convs):
            hidden = Conv2D(f"fcn{k}", hidden, channels, 3, activation=tf.nn.relu)
            if group_norm:
                hidden = GroupNorm(f"gn{k}", hidden)
        hidden = Conv2DTranspose("deconv", hidden, channels, 2, strides=2, activation=tf.nn.relu)
        return Conv2D("conv", hidden, num_masks, 1, kernel_initializer=_normal(0.001))
