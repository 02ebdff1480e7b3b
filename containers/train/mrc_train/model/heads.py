"""The three heads: region proposals, boxes, masks."""

from typing import Any

from mrc_train.config import Config
from mrc_train.model.backbone import GroupNorm
from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf, v1

from tensorpack.models import Conv2D, Conv2DTranspose, FullyConnected  # isort: skip
from tensorpack.tfutils import argscope  # isort: skip


def _normal(stddev: float) -> Any:
    return v1.random_normal_initializer(stddev=stddev)


def _he_normal() -> Any:
    return v1.variance_scaling_initializer(scale=2.0, mode="fan_out", distribution="untruncated_normal")


def rpn_head(pyramid: list[Tensor], channels: int, num_anchors: int) -> tuple[list[Tensor], list[Tensor]]:
    """Objectness logits and box deltas of every anchor, one set of weights for all levels.

    Returns:
        per level, logits (B, h*w*num_anchors) and deltas (B, h*w*num_anchors, 4); position major.
    """
    logits, deltas = [], []
    for level, feature in enumerate(pyramid):
        with v1.variable_scope("rpn", reuse=level > 0), argscope(Conv2D, kernel_initializer=_normal(0.01)):
            hidden = Conv2D("conv0", feature, channels, 3, activation=tf.nn.relu)
            objectness, boxes = (
                Conv2D("class", hidden, num_anchors, 1),
                Conv2D("box", hidden, 4 * num_anchors, 1),
            )
        batch = tf.shape(feature)[0]
        logits.append(tf.reshape(objectness, [batch, -1]))
        deltas.append(tf.reshape(boxes, [batch, -1, 4]))
    return logits, deltas


def box_head(rois: Tensor, num_classes: int, cfg: Config) -> tuple[Tensor, Tensor]:
    """Class logits (N, C) and box deltas (N, C, 4) of RoI features (N, 7, 7, ch); class 0 is background."""
    with v1.variable_scope("fastrcnn"):
        if cfg.FPN.FRCNN_HEAD_FUNC == "fastrcnn_2fc_head":
            hidden = _flat(rois)
            for name in ("fc6", "fc7"):
                hidden = _dense(name, hidden, cfg.FPN.FRCNN_FC_HEAD_DIM)
        else:
            hidden = rois
            for k in range(4):
                hidden = Conv2D(
                    f"conv{k}",
                    hidden,
                    cfg.FPN.FRCNN_CONV_HEAD_DIM,
                    3,
                    activation=tf.nn.relu,
                    kernel_initializer=_he_normal(),
                )
                if cfg.FPN.FRCNN_HEAD_FUNC == "fastrcnn_4conv1fc_gn_head":
                    hidden = GroupNorm(f"gn{k}", hidden)
            hidden = _dense("fc", _flat(hidden), cfg.FPN.FRCNN_FC_HEAD_DIM)
        with v1.variable_scope("outputs"):
            logits = FullyConnected("class", hidden, num_classes, kernel_initializer=_normal(0.01))
            deltas = FullyConnected("box", hidden, num_classes * 4, kernel_initializer=_normal(0.001))
    return logits, tf.reshape(deltas, [-1, num_classes, 4])


def _flat(rois: Tensor) -> Tensor:
    """Channel first, the order in which tensorpack's weights for the first dense layer are stored."""
    _, height, width, channels = rois.shape.as_list()
    return tf.reshape(tf.transpose(rois, [0, 3, 1, 2]), [-1, channels * height * width])


def _dense(name: str, x: Tensor, units: int) -> Tensor:
    return FullyConnected(
        name, x, units, activation=tf.nn.relu, kernel_initializer=v1.variance_scaling_initializer()
    )


def mask_head(rois: Tensor, num_categories: int, cfg: Config) -> Tensor:
    """Mask logits (N, 28, 28, num_categories) of RoI features (N, 14, 14, ch); no background channel."""
    with (
        v1.variable_scope("maskrcnn"),
        argscope([Conv2D, Conv2DTranspose], kernel_initializer=_he_normal()),
    ):
        hidden = rois
        for k in range(cfg.MRCNN.NUM_CONV):
            hidden = Conv2D(f"fcn{k}", hidden, cfg.MRCNN.HEAD_DIM, 3, activation=tf.nn.relu)
            if cfg.FPN.MRCNN_HEAD_FUNC == "maskrcnn_up4conv_gn_head":
                hidden = GroupNorm(f"gn{k}", hidden)
        hidden = Conv2DTranspose("deconv", hidden, cfg.MRCNN.HEAD_DIM, 2, strides=2, activation=tf.nn.relu)
        return Conv2D("conv", hidden, num_categories, 1, kernel_initializer=_normal(0.001))
