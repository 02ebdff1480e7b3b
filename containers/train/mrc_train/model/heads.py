"""The three heads of Mask R-CNN: RPN, box head and mask head."""

from typing import Any

from mrc_train.config import Fpn
from mrc_train.model.norms import GroupNorm
from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf, v1

from tensorpack.models import Conv2D, Conv2DTranspose, FullyConnected  # isort: skip
from tensorpack.tfutils import argscope  # isort: skip


def _normal(stddev: float) -> Any:
    return v1.random_normal_initializer(stddev=stddev)


def _he_normal() -> Any:
    return v1.variance_scaling_initializer(scale=2.0, mode="fan_out", distribution="untruncated_normal")


def rpn_head(
    maps: list[Tensor], channels: int, anchors_per_location: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Objectness logits and box deltas of all anchors; the maps share one set of weights.

    Args:
        maps: (B, h, w, channels) each.

    Returns:
        Logits (B, h * w * k) and deltas (B, h * w * k, 4) of each map, by location and then by anchor; k is
        ``anchors_per_location``.
    """
    logits, deltas = [], []
    for level, feature in enumerate(maps):
        objectness, boxes = _rpn_outputs(feature, channels, anchors_per_location, reuse=level > 0)
        batch = tf.shape(feature)[0]
        logits.append(tf.reshape(objectness, [batch, -1]))
        deltas.append(tf.reshape(boxes, [batch, -1, 4]))
    return logits, deltas


def rpn_head_at(
    maps: list[Tensor], index: Tensor, channels: int, anchors_per_location: int
) -> tuple[Tensor, Tensor]:
    """The outputs of ``rpn_head`` for selected anchors only: logits (B, S) and deltas (B, S, 4).

    Computes the convolution only on the 3 x 3 patch around each selected anchor. The gradient is the same as
    that of the convolution on complete maps, which is 0 at all other locations, but costs much less.

    Args:
        maps: the maps passed to ``rpn_head``, which must be called first.
        index: int32 (B, S), indices into the anchors of all maps.
    """
    # For each location: index of the first of its 3 x 3 neighbours, and the width of its padded map.
    starts, widths, padded = [], [], []
    begin = tf.constant(0)
    for feature in maps:
        shape, channels_in = tf.shape(feature), feature.shape[-1]
        width = shape[2] + 2
        starts.append(tf.reshape(begin + width * tf.range(shape[1])[:, None] + tf.range(shape[2]), [-1]))
        widths.append(tf.fill([shape[1] * shape[2]], width))
        padded.append(
            tf.reshape(tf.pad(feature, [[0, 0], [1, 1], [1, 1], [0, 0]]), [shape[0], -1, channels_in])
        )
        begin += tf.shape(padded[-1])[1]
    location, anchor = index // anchors_per_location, index % anchors_per_location
    first, width = (tf.gather(tf.concat(x, 0), location)[..., None, None] for x in (starts, widths))
    neighbours = tf.reshape(first + width * tf.range(3)[:, None] + tf.range(3), [tf.shape(index)[0], -1])
    patches = tf.reshape(tf.gather(tf.concat(padded, 1), neighbours, batch_dims=1), [-1, 3, 3, channels_in])
    objectness, boxes = _rpn_outputs(patches, channels, anchors_per_location, reuse=True, padding="VALID")
    anchor = tf.reshape(anchor, [-1])
    logits = tf.gather(tf.reshape(objectness, [-1, anchors_per_location]), anchor, batch_dims=1)
    deltas = tf.gather(tf.reshape(boxes, [-1, anchors_per_location, 4]), anchor, batch_dims=1)
    return tf.reshape(logits, tf.shape(index)), tf.reshape(deltas, [*tf.unstack(tf.shape(index)), 4])


def _rpn_outputs(
    x: Tensor, channels: int, anchors_per_location: int, reuse: bool, padding: str = "SAME"
) -> tuple[Tensor, Tensor]:
    with v1.variable_scope("rpn", reuse=reuse), argscope(Conv2D, kernel_initializer=_normal(0.01)):
        hidden = Conv2D("conv0", x, channels, 3, padding=padding, activation=tf.nn.relu)
        return Conv2D("class", hidden, anchors_per_location, 1), Conv2D(
            "box", hidden, 4 * anchors_per_location, 1
        )


def box_head(rois: Tensor, settings: Fpn) -> Tensor:
    """Hidden features (N, FRCNN_FC_HEAD_DIM) of the box head from RoI features (N, 7, 7, channels)."""
    hidden = rois
    if settings.FRCNN_HEAD_FUNC == "fastrcnn_2fc_head":
        hidden = _dense("fc6", _flatten(hidden), settings.FRCNN_FC_HEAD_DIM)
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
    return _dense("fc", _flatten(hidden), settings.FRCNN_FC_HEAD_DIM)


def box_outputs(hidden: Tensor, num_classes: int, class_agnostic: bool) -> tuple[Tensor, Tensor]:
    """Class logits (N, C) and box deltas from hidden features (N, channels); class 0 is the background.

    The deltas are (N, C, 4), or (N, 1, 4) if class-agnostic.
    """
    num_boxes = 1 if class_agnostic else num_classes
    logits = FullyConnected("class", hidden, num_classes, kernel_initializer=_normal(0.01))
    deltas = FullyConnected("box", hidden, num_boxes * 4, kernel_initializer=_normal(0.001))
    return logits, tf.reshape(deltas, [-1, num_boxes, 4])


def _flatten(rois: Tensor) -> Tensor:
    """(N, h, w, channels) to (N, channels * h * w), the order of the dense weights in tensorpack's models."""
    _, height, width, channels = rois.shape.as_list()
    return tf.reshape(tf.transpose(rois, [0, 3, 1, 2]), [-1, channels * height * width])


def _dense(name: str, x: Tensor, units: int) -> Tensor:
    return FullyConnected(
        name, x, units, activation=tf.nn.relu, kernel_initializer=v1.variance_scaling_initializer()
    )


def mask_head(
    rois: Tensor, num_masks: int, num_convs: int, channels: int, group_norm: bool = False
) -> Tensor:
    """Mask logits (N, 2r, 2r, num_masks) from RoI features (N, r, r, channels), without the background."""
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
