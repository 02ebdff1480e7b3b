"""The two model variants: with a feature pyramid (FPN), or with a single map of stride 16 (C4).

Shapes: B images of H x W pixels, N RoIs over all images, C classes including the background.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from mrc_train.config import Config
from mrc_train.model import heads
from mrc_train.model.backbone import ResNet
from mrc_train.model.fpn import feature_pyramid
from mrc_train.model.valid_region import ValidRegion
from mrc_train.ops import Tensor
from mrc_train.ops.roi_align import multilevel_roi_align, roi_align
from mrc_train.tfgraph import tf, v1

BOX_RESOLUTION = 7
MASK_RESOLUTION = 14
"""Bins per side of a pooled RoI for the two heads with FPN (Fig. 4 of the Mask R-CNN paper)."""

C4_RESOLUTION = 14
"""Bins per side of a pooled RoI before stage 5, which halves them (same figure)."""


class BoxOutput(NamedTuple):
    """Output of a box head for N RoIs."""

    logits: Tensor
    """(N, C)"""
    deltas: Tensor
    """(N, C, 4), or (N, 1, 4) if class-agnostic"""
    features: Tensor
    """(N, r, r, channels), the RoI features from which the head computed them"""


class BoxHead(NamedTuple):
    """A box head; a cascade has several."""

    name: str
    """Prefix of the names of its losses."""
    run: Callable[[Tensor, Tensor], BoxOutput]
    """Computes its output from boxes (N, 4) and image_index (N,)."""
    weights: Sequence[float]
    """Weights of dx, dy, dw and dh in encoding and decoding."""
    iou_threshold: float
    """RoIs with at least this IoU are foreground."""


class Trunk(Protocol):
    """Feature maps, and the heads that use them."""

    maps: list[Tensor]
    """Inputs of the RPN, (B, h, w, channels) each."""
    strides: Sequence[int]
    anchor_sizes: Sequence[Sequence[float]]
    """The sizes of each map, in pixels."""
    rpn_channels: int

    def box_heads(self) -> list[BoxHead]:
        """The box heads, in the order in which they refine boxes; only one unless the model is a cascade."""

    def mask_logits(self, boxes: Tensor, image_index: Tensor, box_features: Tensor | None) -> Tensor:
        """Mask logits (N, m, m, C - 1), or (N, m, m, 1) if class-agnostic.

        Args:
            box_features: ``BoxOutput.features`` of the same RoIs, or None.
        """


def build_trunk(image: Tensor, num_classes: int, cfg: Config, valid_region: ValidRegion | None) -> Trunk:
    """The trunk selected by ``MODE_FPN`` on images, float32 (B, H, W, 3)."""
    trunk = PyramidTrunk if cfg.MODE_FPN else C4Trunk
    return trunk(image, num_classes, cfg, valid_region)


class PyramidTrunk:
    """FPN: the RPN runs on P2 to P6, the heads on P2 to P5."""

    def __init__(
        self, image: Tensor, num_classes: int, cfg: Config, valid_region: ValidRegion | None
    ) -> None:
        self.maps = feature_pyramid(ResNet(cfg.BACKBONE, valid_region).features(image), cfg.FPN, valid_region)
        self.strides: Sequence[int] = cfg.FPN.ANCHOR_STRIDES
        self.anchor_sizes: Sequence[Sequence[float]] = [(size,) for size in cfg.RPN.ANCHOR_SIZES]
        self.rpn_channels = cfg.FPN.NUM_CHANNEL
        self._num_classes, self._cfg = num_classes, cfg
        self._valid_sizes = [valid_region.size(x) for x in self.maps[:4]] if valid_region else None

    def box_heads(self) -> list[BoxHead]:
        cfg = self._cfg
        if not cfg.FPN.CASCADE:
            return [BoxHead("fastrcnn", self._box, cfg.FRCNN.BBOX_REG_WEIGHTS, cfg.FRCNN.FG_THRESH)]
        stages = zip(cfg.CASCADE.BBOX_REG_WEIGHTS, cfg.CASCADE.IOUS, strict=True)
        return [
            BoxHead(f"cascade{number}", self._cascade_head(number), weights, iou_threshold)
            for number, (weights, iou_threshold) in enumerate(stages, 1)
        ]

    def _box(self, boxes: Tensor, image_index: Tensor) -> BoxOutput:
        features = self._pooled(boxes, image_index, BOX_RESOLUTION)
        with v1.variable_scope("fastrcnn"):
            hidden = heads.box_head(features, self._cfg.FPN)
            with v1.variable_scope("outputs"):
                outputs = heads.box_outputs(hidden, self._num_classes, self._cfg.FRCNN.CLASS_AGNOSTIC)
        return BoxOutput(*outputs, features)

    def _cascade_head(self, number: int) -> Callable[[Tensor, Tensor], BoxOutput]:
        scale = 1 / len(self._cfg.CASCADE.IOUS)

        def run(boxes: Tensor, image_index: Tensor) -> BoxOutput:
            # The gradients of all heads together have the scale of that of a single head.
            features = _scale_gradient(self._pooled(boxes, image_index, BOX_RESOLUTION), scale)
            with v1.variable_scope(f"cascade_rcnn_stage{number}"):
                with v1.variable_scope("head"):
                    hidden = heads.box_head(features, self._cfg.FPN)
                with v1.variable_scope("outputs"):
                    outputs = heads.box_outputs(hidden, self._num_classes, class_agnostic=True)
            return BoxOutput(*outputs, features)

        return run

    def mask_logits(self, boxes: Tensor, image_index: Tensor, box_features: Tensor | None) -> Tensor:
        cfg = self._cfg
        return heads.mask_head(
            self._pooled(boxes, image_index, MASK_RESOLUTION),
            1 if cfg.MRCNN.CLASS_AGNOSTIC else self._num_classes - 1,
            cfg.MRCNN.NUM_CONV,
            cfg.MRCNN.HEAD_DIM,
            group_norm=cfg.FPN.MRCNN_HEAD_FUNC == "maskrcnn_up4conv_gn_head",
        )

    def _pooled(self, boxes: Tensor, image_index: Tensor, resolution: int) -> Tensor:
        return multilevel_roi_align(
            self.maps[:4],
            self.strides[:4],
            tf.stop_gradient(boxes),
            image_index,
            resolution,
            self._cfg.FPN.CANONICAL_SIZE,
            self._valid_sizes,
        )


class C4Trunk:
    """C4: stage 4 is the only map; stage 5 runs on each RoI, both for boxes and for masks."""

    def __init__(
        self, image: Tensor, num_classes: int, cfg: Config, valid_region: ValidRegion | None
    ) -> None:
        self.maps = ResNet(cfg.BACKBONE, valid_region).features(image, stages=3)[-1:]
        self.strides: Sequence[int] = (cfg.RPN.ANCHOR_STRIDE,)
        self.anchor_sizes: Sequence[Sequence[float]] = [cfg.RPN.ANCHOR_SIZES]
        self.rpn_channels = cfg.RPN.HEAD_DIM
        self._num_classes, self._cfg = num_classes, cfg
        self._valid_size = valid_region.size(self.maps[0]) if valid_region else None
        self._stage5 = ResNet(cfg.BACKBONE).stage5

    def box_heads(self) -> list[BoxHead]:
        cfg = self._cfg
        return [BoxHead("fastrcnn", self._box, cfg.FRCNN.BBOX_REG_WEIGHTS, cfg.FRCNN.FG_THRESH)]

    def _box(self, boxes: Tensor, image_index: Tensor) -> BoxOutput:
        features = self._features(boxes, image_index)
        with v1.variable_scope("fastrcnn"):
            outputs = heads.box_outputs(
                tf.reduce_mean(features, [1, 2]), self._num_classes, self._cfg.FRCNN.CLASS_AGNOSTIC
            )
        return BoxOutput(*outputs, features)

    def mask_logits(self, boxes: Tensor, image_index: Tensor, box_features: Tensor | None) -> Tensor:
        features = self._features(boxes, image_index) if box_features is None else box_features
        num_masks = 1 if self._cfg.MRCNN.CLASS_AGNOSTIC else self._num_classes - 1
        return heads.mask_head(features, num_masks, num_convs=0, channels=self._cfg.MRCNN.HEAD_DIM)

    def _features(self, boxes: Tensor, image_index: Tensor) -> Tensor:
        pooled = roi_align(
            self.maps[0],
            tf.stop_gradient(boxes),
            image_index,
            self.strides[0],
            C4_RESOLUTION,
            valid_size=self._valid_size,
        )
        return self._stage5(pooled)


def _scale_gradient(x: Tensor, factor: float) -> Tensor:
    """``x`` itself, whose gradient is multiplied by the factor."""

    @tf.custom_gradient
    def scaled(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return tf.identity(x), lambda gradient: gradient * factor

    return scaled(x)
