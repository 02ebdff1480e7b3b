"""The two kinds of model up to their heads: with a feature pyramid (FPN), or one map of stride 16 (C4).

Shapes: B images of H x W pixels, N regions of all images together, C classes with the background.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from mrc_train.config import Config
from mrc_train.model import heads
from mrc_train.model.backbone import ResNet
from mrc_train.model.fpn import feature_pyramid
from mrc_train.model.padding import Padding
from mrc_train.ops import Tensor
from mrc_train.ops.roi_align import multilevel_roi_align, roi_align
from mrc_train.tfgraph import tf, v1

BOX_RESOLUTION = 7
MASK_RESOLUTION = 14
"""Cells per side of a pooled RoI for the two heads with FPN (Fig. 4 of the Mask R-CNN paper)."""

C4_RESOLUTION = 14
"""Cells per side of a pooled RoI before stage 5, which halves them (same figure)."""


class BoxOutput(NamedTuple):
    """Outputs of a box head for N regions."""

    logits: Tensor
    """(N, C)"""
    deltas: Tensor
    """(N, C, 4), or (N, 1, 4) if class-agnostic"""
    features: Tensor
    """(N, r, r, ch): the input of the head"""


class BoxHead(NamedTuple):
    """One box head; a cascade has several."""

    name: str
    """of its losses"""
    run: Callable[[Tensor, Tensor], BoxOutput]
    """from boxes (N, 4) and image_index (N,)"""
    weights: Sequence[float]
    """scale of dx, dy, dw, dh"""
    iou: float
    """minimum IoU of a foreground region"""


class Trunk(Protocol):
    """Feature maps, and the heads on them."""

    maps: list[Tensor]
    """inputs of the RPN, (B, h, w, ch) each"""
    strides: Sequence[int]
    anchor_sizes: Sequence[Sequence[float]]
    """per map"""
    rpn_channels: int

    def box_heads(self) -> list[BoxHead]:
        """The box heads in the order in which they refine boxes; one, except in a cascade."""

    def mask_logits(self, boxes: Tensor, image_index: Tensor, box_features: Tensor | None) -> Tensor:
        """Mask logits (N, m, m, C - 1) or, if class-agnostic, (N, m, m, 1).

        Args:
            box_features: ``BoxOutput.features`` of the same regions, if already computed.
        """


def trunk_of(image: Tensor, num_classes: int, cfg: Config, padding: Padding | None) -> Trunk:
    """The trunk that ``MODE_FPN`` selects, for images float32 (B, H, W, 3)."""
    kind = PyramidTrunk if cfg.MODE_FPN else C4Trunk
    return kind(image, num_classes, cfg, padding)


class PyramidTrunk:
    """Feature pyramid; heads on P2 to P5."""

    def __init__(self, image: Tensor, num_classes: int, cfg: Config, padding: Padding | None) -> None:
        self.maps = feature_pyramid(ResNet(cfg.BACKBONE, padding).features(image), cfg.FPN, padding)
        self.strides: Sequence[int] = cfg.FPN.ANCHOR_STRIDES
        self.anchor_sizes: Sequence[Sequence[float]] = [(size,) for size in cfg.RPN.ANCHOR_SIZES]
        self.rpn_channels = cfg.FPN.NUM_CHANNEL
        self._num_classes, self._cfg = num_classes, cfg
        self._valid_sizes = [padding.valid_size(x) for x in self.maps[:4]] if padding else None

    def box_heads(self) -> list[BoxHead]:
        cfg = self._cfg
        if not cfg.FPN.CASCADE:
            return [BoxHead("fastrcnn", self._box, cfg.FRCNN.BBOX_REG_WEIGHTS, cfg.FRCNN.FG_THRESH)]
        stages = zip(cfg.CASCADE.BBOX_REG_WEIGHTS, cfg.CASCADE.IOUS, strict=True)
        return [
            BoxHead(f"cascade{number}", self._cascade_head(number), weights, iou)
            for number, (weights, iou) in enumerate(stages, 1)
        ]

    def _box(self, boxes: Tensor, image_index: Tensor) -> BoxOutput:
        features = self._pooled(boxes, image_index, BOX_RESOLUTION)
        with v1.variable_scope("fastrcnn"):
            hidden = heads.box_head(features, self._cfg.FPN)
            with v1.variable_scope("outputs"):
                outputs = heads.box_outputs(hidden, self._num_classes, self._cfg.FRCNN.CLASS_AGNOSTIC)
        return BoxOutput(*outputs, features)

    def _cascade_head(self, number: int) -> Callable[[Tensor, Tensor], BoxOutput]:
        share = 1 / len(self._cfg.CASCADE.IOUS)

        def run(boxes: Tensor, image_index: Tensor) -> BoxOutput:
            # All heads together move the features as much as one head would.
            features = _with_gradient_times(share, self._pooled(boxes, image_index, BOX_RESOLUTION))
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
    """Stage 4 is the one map; stage 5 runs on each region, for boxes and masks alike."""

    def __init__(self, image: Tensor, num_classes: int, cfg: Config, padding: Padding | None) -> None:
        self.maps = ResNet(cfg.BACKBONE, padding).features(image, stages=3)[-1:]
        self.strides: Sequence[int] = (cfg.RPN.ANCHOR_STRIDE,)
        self.anchor_sizes: Sequence[Sequence[float]] = [cfg.RPN.ANCHOR_SIZES]
        self.rpn_channels = cfg.RPN.HEAD_DIM
        self._num_classes, self._cfg = num_classes, cfg
        self._own_size = padding.valid_size(self.maps[0]) if padding else None
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
        masks = 1 if self._cfg.MRCNN.CLASS_AGNOSTIC else self._num_classes - 1
        return heads.mask_head(features, masks, num_convs=0, channels=self._cfg.MRCNN.HEAD_DIM)

    def _features(self, boxes: Tensor, image_index: Tensor) -> Tensor:
        pooled = roi_align(
            self.maps[0],
            tf.stop_gradient(boxes),
            image_index,
            self.strides[0],
            C4_RESOLUTION,
            valid_size=self._own_size,
        )
        return self._stage5(pooled)


def _with_gradient_times(factor: float, x: Tensor) -> Tensor:
    @tf.custom_gradient
    def scaled(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return tf.identity(x), lambda gradient: gradient * factor

    return scaled(x)
