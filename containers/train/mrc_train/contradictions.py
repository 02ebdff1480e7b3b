"""Settings that are fine one by one and contradict each other."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mrc_train.errors import ConfigProblem

if TYPE_CHECKING:
    from mrc_train.config import Config


def contradictions(cfg: "Config") -> Iterator[ConfigProblem]:
    """Every contradiction between the settings, each with the keys that it is about."""
    yield from _backbone(cfg)
    yield from _group_normalization(cfg)
    yield from _anchors(cfg)
    if cfg.FPN.CASCADE:
        yield from _cascade(cfg)
    yield from _image_sizes(cfg)
    yield from _targets(cfg)
    schedule = cfg.TRAIN.LR_SCHEDULE
    if isinstance(schedule, tuple) and (not schedule or list(schedule) != sorted(set(schedule))):
        yield ConfigProblem(
            ("TRAIN.LR_SCHEDULE",), f"TRAIN.LR_SCHEDULE={list(schedule)} must be steps in rising order"
        )


def _backbone(cfg: "Config") -> Iterator[ConfigProblem]:
    """oneDNN's gradient of a strided 1x1 convolution writes outside its memory below 16 input channels."""
    smallest = 4 if cfg.BACKBONE.BLOCK == "bottleneck" else 16
    if min(cfg.BACKBONE.CHANNELS[:3]) < smallest:
        yield ConfigProblem(
            ("BACKBONE.CHANNELS", "BACKBONE.BLOCK"),
            f"BACKBONE.CHANNELS={cfg.BACKBONE.CHANNELS}: training would crash on CPUs; give each of the "
            f"first three stages {smallest} or more, with BACKBONE.BLOCK={cfg.BACKBONE.BLOCK}",
        )


def _group_normalization(cfg: "Config") -> Iterator[ConfigProblem]:
    for key, by, channels in _group_normalized(cfg):
        if any(number % 32 for number in channels):
            value = channels if len(channels) > 1 else channels[0]
            yield ConfigProblem(
                (key, by), f"{key}={value}: group normalization needs multiples of 32 channels"
            )


def _group_normalized(cfg: "Config") -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Keys of the layers that are group-normalized, the setting that made them so, and their channels."""
    if cfg.BACKBONE.NORM == "GN":
        yield "BACKBONE.CHANNELS", "BACKBONE.NORM", cfg.BACKBONE.CHANNELS
    if not cfg.MODE_FPN:
        return
    if cfg.FPN.NORM == "GN":
        yield "FPN.NUM_CHANNEL", "FPN.NORM", (cfg.FPN.NUM_CHANNEL,)
    if cfg.FPN.FRCNN_HEAD_FUNC == "fastrcnn_4conv1fc_gn_head":
        yield "FPN.FRCNN_CONV_HEAD_DIM", "FPN.FRCNN_HEAD_FUNC", (cfg.FPN.FRCNN_CONV_HEAD_DIM,)
    if cfg.MODE_MASK and cfg.FPN.MRCNN_HEAD_FUNC == "maskrcnn_up4conv_gn_head":
        yield "MRCNN.HEAD_DIM", "FPN.MRCNN_HEAD_FUNC", (cfg.MRCNN.HEAD_DIM,)


def _anchors(cfg: "Config") -> Iterator[ConfigProblem]:
    sizes, strides = len(cfg.RPN.ANCHOR_SIZES), len(cfg.FPN.ANCHOR_STRIDES)
    if cfg.MODE_FPN and sizes != strides:
        yield ConfigProblem(
            ("FPN.ANCHOR_STRIDES", "RPN.ANCHOR_SIZES"),
            f"RPN.ANCHOR_SIZES has {sizes} entries and FPN.ANCHOR_STRIDES has {strides}; "
            "give one size per level",
        )
    if cfg.RPN.NEGATIVE_ANCHOR_THRESH > cfg.RPN.POSITIVE_ANCHOR_THRESH:
        yield ConfigProblem(
            ("RPN.NEGATIVE_ANCHOR_THRESH", "RPN.POSITIVE_ANCHOR_THRESH"),
            "RPN.NEGATIVE_ANCHOR_THRESH is above RPN.POSITIVE_ANCHOR_THRESH",
        )


def _cascade(cfg: "Config") -> Iterator[ConfigProblem]:
    ious, weights = cfg.CASCADE.IOUS, cfg.CASCADE.BBOX_REG_WEIGHTS
    if not cfg.MODE_FPN:
        yield ConfigProblem(
            ("FPN.CASCADE", "MODE_FPN"),
            "FPN.CASCADE=True needs MODE_FPN=True: cascade heads use the feature pyramid",
        )
    if len(ious) != len(weights):
        yield ConfigProblem(
            ("CASCADE.IOUS", "CASCADE.BBOX_REG_WEIGHTS"),
            f"CASCADE.IOUS has {len(ious)} entries and CASCADE.BBOX_REG_WEIGHTS has {len(weights)}; "
            "give one of each per head",
        )
    if ious[0] != cfg.FRCNN.FG_THRESH:
        yield ConfigProblem(
            ("CASCADE.IOUS", "FRCNN.FG_THRESH"),
            f"CASCADE.IOUS begins with {ious[0]}, FRCNN.FG_THRESH is {cfg.FRCNN.FG_THRESH}: "
            "the first head's RoIs are sampled at that IoU; give both the same value",
        )


def _image_sizes(cfg: "Config") -> Iterator[ConfigProblem]:
    low, high = cfg.PREPROC.TRAIN_SHORT_EDGE_SIZE
    if not low <= high <= cfg.PREPROC.MAX_SIZE:
        yield ConfigProblem(
            ("PREPROC.TRAIN_SHORT_EDGE_SIZE", "PREPROC.MAX_SIZE"),
            f"PREPROC.TRAIN_SHORT_EDGE_SIZE=({low}, {high}) must rise and stay within "
            f"PREPROC.MAX_SIZE={cfg.PREPROC.MAX_SIZE}",
        )
    if cfg.PREPROC.PREDEFINED_PADDING and not any(
        max(shape) >= cfg.PREPROC.MAX_SIZE and min(shape) >= high for shape in cfg.PREPROC.PADDING_SHAPES
    ):
        yield ConfigProblem(
            (
                "PREPROC.PADDING_SHAPES",
                "PREPROC.TRAIN_SHORT_EDGE_SIZE",
                "PREPROC.MAX_SIZE",
                "PREPROC.PREDEFINED_PADDING",
            ),
            f"PREPROC.PADDING_SHAPES={[list(shape) for shape in cfg.PREPROC.PADDING_SHAPES]} has no shape "
            f"for images of {high} by {cfg.PREPROC.MAX_SIZE} pixels, the largest that "
            "PREPROC.TRAIN_SHORT_EDGE_SIZE and PREPROC.MAX_SIZE allow",
        )


def _targets(cfg: "Config") -> Iterator[ConfigProblem]:
    if cfg.TEST.MASK_TARGET is not None and not cfg.MODE_MASK:
        yield ConfigProblem(
            ("TEST.MASK_TARGET", "MODE_MASK"),
            "TEST.MASK_TARGET is set but MODE_MASK=False: there are no masks to score",
        )
    has_target = cfg.TEST.BOX_TARGET is not None or cfg.TEST.MASK_TARGET is not None
    if has_target and not (cfg.DATA.VAL and cfg.TRAIN.EVAL_PERIOD):
        yield ConfigProblem(
            ("TEST.BOX_TARGET", "TEST.MASK_TARGET", "DATA.VAL", "TRAIN.EVAL_PERIOD"),
            "TEST.BOX_TARGET and TEST.MASK_TARGET need evaluations: set DATA.VAL and TRAIN.EVAL_PERIOD",
        )
