"""The trainer's settings: typed, with the keys of tensorpack's FasterRCNN example.

Imports no TensorFlow, so that tools can read the keys, types and defaults without it.
Keys that tensorpack does not have are marked "ours" in their description.
"""

import argparse
import ast
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from mrc_cli.suggestions import nearest
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from mrc_train.contradictions import contradictions
from mrc_train.errors import ConfigError, ConfigProblem

# Pydantic would read the metadata of every installed package to find plugins, and none is used.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

REFERENCE_BATCH = 8
"""Total batch size for which ``TRAIN.BASE_LR`` and ``TRAIN.LR_SCHEDULE`` are given (Detectron's)."""


class _ContradictionError(ValueError):
    """What pydantic passes on from a validator: it takes only errors of values."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, (str, int)) else value


def _as_range(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


def _none_by_name(value: Any) -> Any:
    """``NORM=None`` selects the choice named None."""
    return "None" if value is None else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
EdgeRange = Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_as_range)]
Fraction = Annotated[float, Field(ge=0, le=1)]
RGB = tuple[float, float, float]
BoxWeights = tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Section):
    """Where the images and annotations are."""

    BASEDIR: Path = Field(Path("data"), description="Directory with train2017/, val2017/ and annotations/.")
    TRAIN: Names = Field(("coco_train2017",), description="Splits to train on, concatenated.", min_length=1)
    VAL: Names = Field(("coco_val2017",), description="Splits to evaluate on, each separately.")
    FILTER_EMPTY_ANNOTATIONS: bool = Field(True, description="Leave out training images without objects.")
    NUM_WORKERS: NonNegativeInt = Field(
        4, description="Threads per rank that decode and augment images; 0: none."
    )


class Backbone(_Section):
    """The ResNet backbone."""

    WEIGHTS: str = Field("", description="ImageNet weights (.npz) to start from; empty: from scratch.")
    RESNET_NUM_BLOCKS: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        (3, 4, 6, 3), description="Blocks per stage; (3, 4, 23, 3) is ResNet-101."
    )
    BLOCK: Literal["bottleneck", "basic"] = Field("bottleneck", description="Ours. basic: small models.")
    CHANNELS: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        (64, 128, 256, 512), description="Ours. Base channels of each stage; the stem has those of the first."
    )
    NORM: Annotated[Literal["FreezeBN", "SyncBN", "BN", "GN", "None"], BeforeValidator(_none_by_name)] = (
        Field("FreezeBN", description="Normalization. BN (ours) uses the statistics of one rank's batch.")
    )
    ZERO_INIT_RESIDUAL: bool = Field(
        True,
        description="Ours. Initialize residual branches to zero, as tensorpack does; False: small models "
        "learn sooner from scratch. Without normalization they are always initialized to zero.",
    )
    FREEZE_AT: Literal[0, 1, 2] = Field(
        2, description="Number of stages, including the stem, that are not trained."
    )
    FREEZE_AFFINE: bool = Field(False, description="Do not train scale and offset of normalization layers.")
    TF_PAD_MODE: bool = Field(False, description="Pad like TensorFlow's SAME; False: like Caffe2.")
    STRIDE_1X1: bool = Field(False, description="Put the stride in the 1x1 convolution (for MSRA's weights).")


class Train(_Section):
    """Learning-rate schedule and optimizer."""

    BATCH_SIZE_PER_GPU: PositiveInt = Field(1, description="Images per rank in each batch.")
    GRADIENT_ACCUMULATION: PositiveInt = Field(
        1,
        description="Ours. Batches whose gradients are accumulated in one step: with 2, four GPUs train like "
        "eight. Steps, schedules and the total batch count them as one.",
    )
    STEPS_PER_EPOCH: PositiveInt = Field(500, description="Steps per epoch.")
    IMAGES_PER_EPOCH: PositiveInt | None = Field(
        None, description="Images per epoch over all ranks; takes precedence over STEPS_PER_EPOCH."
    )
    LR_SCHEDULE: Annotated[str, Field(pattern=r"^[1-9]x$")] | tuple[PositiveInt, ...] = Field(
        "1x",
        description="Steps, for a total batch of 8, at which the learning rate drops tenfold; "
        "the last one ends the training. 1x is (120000, 160000, 180000).",
    )
    LR_EPOCH_SCHEDULE: tuple[tuple[PositiveInt, PositiveFloat | None], ...] | None = Field(
        None,
        description="(epoch, factor) pairs; take precedence over LR_SCHEDULE. Factor None ends training.",
    )
    LR_DECAY: Literal["step", "cosine"] = Field(
        "step", description="Ours. cosine: decays to 0 over the schedule."
    )
    BASE_LR: PositiveFloat = Field(1e-2, description="Learning rate for a total batch of 8; scaled linearly.")
    WARMUP: NonNegativeInt = Field(1000, description="Steps of linear warm-up, independent of the batch.")
    WARMUP_INIT_LR: NonNegativeFloat = Field(
        1e-5, description="Learning rate at the start of the warm-up, for a total batch of 8."
    )
    OPTIMIZER: Literal["momentum", "adam"] = Field(
        "momentum", description="Ours. adam suits small models trained from scratch."
    )
    ADAM_EPSILON: PositiveFloat = Field(1e-6, description="Ours. Epsilon of Adam.")
    WEIGHT_DECAY: NonNegativeFloat = Field(1e-4, description="L2 penalty on convolution and dense weights.")
    GRADIENT_CLIP: NonNegativeFloat = Field(
        0.0, description="Maximum global norm of the gradients; 0: no limit."
    )
    EVAL_PERIOD: NonNegativeInt = Field(50, description="Epochs between evaluations; 0: never.")
    EVAL_ASYNC: bool = Field(
        False,
        description="Ours; the flag --async_eval. Training continues while a process beside rank 0 computes "
        "the "
        "metrics.",
    )
    CHECKPOINT_PERIOD: PositiveInt = Field(20, description="Epochs between checkpoints.")
    MIXED_PRECISION: bool = Field(
        False,
        description="Ours; the flag --fp16. Convolutions in float16, with a loss scale, on GPUs; in bfloat16 "
        "on CPUs that have AMX for it.",
    )
    STEP_TIMEOUT: PositiveFloat = Field(
        1800.0,
        description="Ours. Seconds without a finished step, or image of an evaluation, after which a rank "
        "ends the run: another one hangs.",
    )
    SEED: Annotated[int, Field(ge=0, le=2000)] = Field(
        0, description="Ours. Determines initial weights, data order and sampling."
    )


class Preproc(_Section):
    """Resizing, augmentation and colour."""

    TRAIN_SHORT_EDGE_SIZE: EdgeRange = Field(
        (800, 800), description="Range of the short edge in training, pixels."
    )
    TEST_SHORT_EDGE_SIZE: PositiveInt = Field(800, description="Short edge in inference, pixels.")
    MAX_SIZE: PositiveInt = Field(1333, description="Maximum length of the long edge, pixels.")
    PREDEFINED_PADDING: bool = Field(
        False, description="Pad training batches to PADDING_SHAPES, so that only few shapes occur."
    )
    PADDING_SHAPES: tuple[tuple[PositiveInt, PositiveInt], ...] = Field(
        ((800, 1000), (800, 1200), (800, 1350)),
        description="Short and long edge, pixels; swapped for portrait images.",
        min_length=1,
    )
    AUGMENT: Literal["none", "flip", "dihedral"] = Field(
        "flip",
        description="Ours. flip: left-right; dihedral: flips and transpose, for images without an up "
        "direction.",
    )
    PIXEL_MEAN: RGB = Field((123.675, 116.28, 103.53), description="ImageNet's, in RGB order.")
    PIXEL_STD: RGB = Field((58.395, 57.12, 57.375), description="ImageNet's, in RGB order.")


class Rpn(_Section):
    """The region proposal network."""

    ANCHOR_STRIDE: Literal[16] = Field(
        16, description="Stride of the anchors without a feature pyramid, pixels."
    )
    ANCHOR_SIZES: tuple[PositiveFloat, ...] = Field(
        (32.0, 64.0, 128.0, 256.0, 512.0),
        description="Square roots of the anchors' areas, pixels: one per FPN level; without FPN, all at "
        "every location.",
        min_length=1,
    )
    ANCHOR_RATIOS: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 2.0), description="Height / width.")
    POSITIVE_ANCHOR_THRESH: Fraction = Field(0.7, description="Minimum IoU of a foreground anchor.")
    NEGATIVE_ANCHOR_THRESH: Fraction = Field(0.3, description="IoU below which an anchor is background.")
    CROWD_OVERLAP_THRESH: PositiveFloat = Field(
        9.99, description="Anchors that overlap a crowd region by more than this are ignored; above 1: off."
    )
    FG_RATIO: Fraction = Field(0.5, description="Maximum fraction of foreground among the sampled anchors.")
    BATCH_PER_IM: PositiveInt = Field(256, description="Anchors sampled per image.")
    MIN_SIZE: NonNegativeFloat = Field(0.0, description="Minimum side of a proposal, pixels.")
    PROPOSAL_NMS_THRESH: Fraction = Field(0.7, description="IoU threshold of the proposals' NMS.")
    TRAIN_PER_LEVEL_NMS_TOPK: PositiveInt = Field(
        2000, description="Maximum number of proposals per level, and in total, in training."
    )
    TEST_PER_LEVEL_NMS_TOPK: PositiveInt = Field(1000, description="The same in inference.")
    HEAD_DIM: PositiveInt = Field(1024, description="Channels of the RPN without FPN.")
    TRAIN_PRE_NMS_TOPK: PositiveInt = Field(
        12000,
        description="Number of anchors that enter NMS, over all levels, without FPN or with "
        "FPN.PROPOSAL_MODE=Joint.",
    )
    TRAIN_POST_NMS_TOPK: PositiveInt = Field(2000, description="Number of proposals after that NMS.")
    TEST_PRE_NMS_TOPK: PositiveInt = Field(6000, description="The same in inference.")
    TEST_POST_NMS_TOPK: PositiveInt = Field(1000, description="The same in inference.")


class Frcnn(_Section):
    """Training of the box head."""

    BATCH_PER_IM: PositiveInt = Field(512, description="RoIs sampled per image.")
    FG_THRESH: Fraction = Field(0.5, description="Minimum IoU of a foreground RoI.")
    FG_RATIO: Fraction = Field(0.25, description="Maximum fraction of foreground among the sampled RoIs.")
    BBOX_REG_WEIGHTS: BoxWeights = Field((10.0, 10.0, 5.0, 5.0), description="Weights of dx, dy, dw and dh.")
    CLASS_AGNOSTIC: bool = Field(
        False, description="Ours. One box for all classes, as cascade heads always have."
    )


class Fpn(_Section):
    """The feature pyramid and its heads."""

    ANCHOR_STRIDES: tuple[PositiveInt, ...] = Field(
        (4, 8, 16, 32, 64), description="Stride of each level, pixels."
    )
    PROPOSAL_MODE: Literal["Level", "Joint"] = Field(
        "Level", description="Apply NMS and its limits to each level, or to all levels together."
    )
    CASCADE: bool = Field(False, description="Cascade R-CNN: successive box heads refine the boxes.")
    NUM_CHANNEL: PositiveInt = Field(256, description="Channels of each level.")
    NORM: Annotated[Literal["None", "GN"], BeforeValidator(_none_by_name)] = Field(
        "None", description="Normalization in the pyramid."
    )
    CANONICAL_SIZE: PositiveFloat = Field(
        224.0,
        description="Ours. RoI size pooled from the level of stride 16 (equation 1 of the FPN paper).",
    )
    FRCNN_HEAD_FUNC: Literal["fastrcnn_2fc_head", "fastrcnn_4conv1fc_head", "fastrcnn_4conv1fc_gn_head"] = (
        Field("fastrcnn_2fc_head", description="Box head.")
    )
    FRCNN_CONV_HEAD_DIM: PositiveInt = Field(256, description="Channels of a convolutional box head.")
    FRCNN_FC_HEAD_DIM: PositiveInt = Field(1024, description="Width of the box head's dense layers.")
    MRCNN_HEAD_FUNC: Literal["maskrcnn_up4conv_head", "maskrcnn_up4conv_gn_head"] = Field(
        "maskrcnn_up4conv_head", description="Mask head."
    )


class Mrcnn(_Section):
    """The mask head."""

    HEAD_DIM: PositiveInt = Field(256, description="Channels of the mask head.")
    NUM_CONV: NonNegativeInt = Field(4, description="Ours. Convolutions before the deconvolution, with FPN.")
    CLASS_AGNOSTIC: bool = Field(False, description="Ours. One mask for all classes.")


class Cascade(_Section):
    """Cascade R-CNN, enabled by ``FPN.CASCADE``."""

    IOUS: tuple[Fraction, ...] = Field(
        (0.5, 0.6, 0.7), description="Minimum IoU of a foreground RoI, per head.", min_length=1
    )
    BBOX_REG_WEIGHTS: tuple[BoxWeights, ...] = Field(
        ((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0)),
        description="Weights of dx, dy, dw and dh, per head.",
    )


class Test(_Section):
    """Inference."""

    FRCNN_NMS_THRESH: Fraction = Field(0.5, description="IoU threshold of the per-class NMS of detections.")
    RESULT_SCORE_THRESH: Fraction = Field(0.05, description="Minimum score of a detection.")
    RESULT_SCORE_THRESH_VIS: Fraction = Field(0.5, description="Minimum score of a detection that is drawn.")
    RESULTS_PER_IM: PositiveInt = Field(100, description="Maximum number of detections per image.")
    BOX_TARGET: Fraction | None = Field(
        None, description="Box AP on the first split of DATA.VAL at which training ends; None: no target."
    )
    MASK_TARGET: Fraction | None = Field(
        None, description="The same for mask AP; if both are set, both must be reached."
    )
    TARGET_METRIC: Literal["AP", "AP50"] = Field(
        "AP", description="Ours. The metric that the targets are about: AP over IoUs, or AP at an IoU of 0.5."
    )


class Config(_Section):
    """All settings. ``Config()`` is tensorpack's R50-FPN; ``parse`` builds one from the command line."""

    TRAINER: Literal["simple", "horovod"] = Field(
        "simple", description="horovod: one process per rank, under mpirun."
    )
    MODE_MASK: bool = Field(True, description="Mask R-CNN; False: Faster R-CNN.")
    MODE_FPN: bool = Field(True, description="Feature pyramid; False: C4, one feature map of stride 16.")
    DATA: Data = Data()
    BACKBONE: Backbone = Backbone()
    TRAIN: Train = Train()
    PREPROC: Preproc = Preproc()
    RPN: Rpn = Rpn()
    FRCNN: Frcnn = Frcnn()
    FPN: Fpn = Fpn()
    MRCNN: Mrcnn = Mrcnn()
    CASCADE: Cascade = Cascade()
    TEST: Test = Test()

    @model_validator(mode="after")
    def _settings_agree(self) -> "Config":
        if problems := tuple(contradictions(self)):
            raise _ContradictionError(problems)
        return self

    def to_yaml(self) -> str:
        """YAML text that ``from_yaml`` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    @staticmethod
    def from_yaml(text: str) -> "Config":
        """Raises ConfigError for text that ``to_yaml`` did not write."""
        return _validated(yaml.safe_load(text) or {})


def known_keys() -> dict[str, Any]:
    """Every dotted key, such as ``TRAIN.BASE_LR``, with its pydantic field (type, default, description)."""
    return dict(_walk(Config))


def _walk(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, _Section):
            yield from _walk(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def parse_literal(text: str) -> Any:
    """Python literal, else YAML, else the text itself. Nothing is evaluated.

    ``1e-2``, ``(800, 1333)``, ``[(16, 0.1), (24, None)]`` and ``("coco_val2017")`` are Python's;
    ``true`` and ``null`` are YAML's.
    """
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # 2026-99-99, 5,000 digits, 1,000 brackets
        return text


def parse(items: Iterable[str], base: Config | None = None) -> Config:
    """Settings from ``KEY=VALUE`` strings over those of ``base``. The last value for a key takes precedence.

    Raises ConfigError, in one line, for an unknown key (with the nearest known one), a value of the
    wrong type or range, or settings that contradict each other.
    """
    values: dict[str, Any] = (base or Config()).model_dump()
    known = known_keys()
    for item in items:
        key, equals, text = item.partition("=")
        key = key.strip()
        if not equals:
            raise ConfigError(ConfigProblem((), f"{item!r} is not of the form KEY=VALUE"))
        if key not in known:
            raise ConfigError(ConfigProblem((key,), f"{key}: no such setting.{_did_you_mean(key, known)}"))
        section = values
        *parents, leaf = key.split(".")
        for parent in parents:
            section = section[parent]
        section[leaf] = parse_literal(text)
    return _validated(values)


def add_config_argument(parser: argparse.ArgumentParser, text: str) -> None:
    """``--config KEY=VALUE …``, which can be given more than once; ``text`` is its help."""
    parser.add_argument("--config", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=text)


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    close = nearest(key, known)
    return f" Did you mean {close}?" if close else ""


def _validated(values: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(*_problems(error)) from None


def _problems(error: ValidationError) -> Iterator[ConfigProblem]:
    reported = set()
    for detail in error.errors():
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, _ContradictionError):
            yield from cause.problems
            continue
        # pydantic reports one error for each member of a union; the first is enough.
        key = ".".join(part for part in map(str, detail["loc"]) if part.isupper())
        if key not in reported:
            reported.add(key)
            message = f"{detail['msg'][0].lower()}{detail['msg'][1:]}"
            yield ConfigProblem((key,), f"{key}={detail['input']!r}: {message}")
