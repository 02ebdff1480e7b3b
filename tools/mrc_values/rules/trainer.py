"""Settings of the trainer.

They are checked by the trainer's own configuration. With train_script set, the image contains another
trainer: the chart's values have the same meaning there, but extra_config may contain settings that only that
trainer defines.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING

from mrc_cli.findings import Severity, dotted
from mrc_cli.suggestions import nearest

from mrc_values.rules.registry import Context, Violation, rule
from mrc_values.trainer_settings import ConfigArgument, extra, keys, settings

if TYPE_CHECKING:
    from mrc_train.config import Train
    from mrc_train.schedule import LearningRate


@cache
def _known_keys() -> tuple[str, ...]:
    from mrc_train.config import known_keys

    return tuple(known_keys())


def _is_our_trainer(context: Context) -> bool:
    return not context.values.text("maskrcnn.train_script")


@rule(
    "MRC060",
    Severity.ERROR,
    "the trainer defines every setting",
    failing="maskrcnn: {extra_config: [TRAIN.CHECKPOINT_PERIOT=2]}",
    passing="maskrcnn: {extra_config: [TRAIN.CHECKPOINT_PERIOD=2]}",
)
def trainer_defines_settings(context: Context) -> Iterator[Violation]:
    """The trainer exits with an error on an unknown setting, after the nodes have started. This rule uses
    the trainer's own definition of its settings."""
    if not _is_our_trainer(context):
        return
    for setting in _extra(context):
        if "=" not in setting.text:
            yield Violation(dotted(setting.path), f"{setting.text} has no value.", "Write KEY=VALUE.")
        elif setting.key not in _known_keys():
            meant = nearest(setting.key, _known_keys())
            hint = f"Did you mean {meant}?" if meant else "`mrc-train --help` lists all settings."
            yield Violation(dotted(setting.path), f"{setting.key} is not a setting of the trainer.", hint)


@rule(
    "MRC061",
    Severity.ERROR,
    "every setting of the trainer has a valid value",
    failing="maskrcnn: {extra_config: [TRAIN.WARMUP=soon]}",
    passing="maskrcnn: {extra_config: [TRAIN.WARMUP=500]}",
)
def settings_have_valid_values(context: Context) -> Iterator[Violation]:
    """The trainer exits with an error on a value of the wrong type or range, after the nodes have started."""
    from mrc_train.config import parse
    from mrc_train.errors import ConfigError

    known = [setting for setting in _effective(context) if not setting.key.endswith("_SCHEDULE")]
    try:
        parse(setting.text for setting in known)
    except ConfigError as error:
        for problem in error.problems:
            setting = _given(problem.keys, known)
            yield Violation(dotted(setting.path), f"{problem.message}.", _fix(setting.key))


@rule(
    "MRC062",
    Severity.ERROR,
    "the learning rate schedule is in ascending order",
    failing="maskrcnn: {lr_schedule: '[240000, 360000, 320000]'}",
    passing="maskrcnn: {lr_schedule: '[240000, 320000, 360000]'}",
)
def schedule_rises(context: Context) -> Iterator[Violation]:
    """lr_schedule lists the steps at which the learning rate drops; the last one ends the training.
    lr_epoch_schedule does the same in epochs, with None as the last factor."""
    from mrc_train.config import parse
    from mrc_train.errors import ConfigError
    from mrc_train.schedule import LearningRate

    forms = {
        "TRAIN.LR_SCHEDULE": ("a list of steps in ascending order", "'[240000,320000,360000]', or 1x to 9x"),
        "TRAIN.LR_EPOCH_SCHEDULE": (
            "a list of (epoch, factor) in ascending order with None as the last factor",
            "'[(16, 0.1), (20, 0.01), (24, None)]'",
        ),
    }
    for setting in _effective(context):
        if setting.key not in forms:
            continue
        try:
            LearningRate.from_config(parse([setting.text]).TRAIN, total_batch=1)
        except ConfigError:
            form, example = forms[setting.key]
            text = setting.text.partition("=")[2]
            yield Violation(dotted(setting.path), f"{text} is not {form}.", f"Write it like {example}.")


@rule(
    "MRC063",
    Severity.WARNING,
    "training is longer than the warm-up",
    failing="maskrcnn: {gpus: 64, lr_schedule: '[2000, 4000, 8000]'}",
    passing="maskrcnn: {gpus: 64, lr_schedule: '[120000, 160000, 180000]'}",
)
def training_outlasts_warmup(context: Context) -> Iterator[Violation]:
    """lr_schedule counts steps at a total batch of 8 and shrinks as the batch grows; TRAIN.WARMUP counts
    real steps and does not. With many GPUs the learning rate may drop before the warm-up reaches it."""
    if (planned := _schedule(context)) is None:
        return
    schedule, train, batch = planned
    at, what = schedule.total_steps, "training ends"
    if schedule.milestones:
        at, what = schedule.milestones[0][0], "learning rate drops"
    if at > train.WARMUP:
        return
    by_epochs = train.LR_EPOCH_SCHEDULE is not None
    yield Violation(
        _name_of(context, "TRAIN.LR_EPOCH_SCHEDULE" if by_epochs else "TRAIN.LR_SCHEDULE"),
        f"at a total batch of {batch} the {what} after {at:,} steps, within the warm-up of {train.WARMUP:,}.",
        "Train longer, or add TRAIN.WARMUP=<fewer steps> to extra_config.",
    )


@rule(
    "MRC064",
    Severity.WARNING,
    "an epoch is one pass over COCO",
    failing="maskrcnn: {gpus: 64, steps_per_epoch: 7500}",
    passing="maskrcnn: {gpus: 64, steps_per_epoch: 1875}",
)
def epoch_is_one_pass(context: Context) -> Iterator[Violation]:
    """An epoch has steps_per_epoch steps regardless of the number of GPUs, so the value must shrink as GPUs
    are added: the tutorial uses 120000 / gpus. Evaluation and checkpoint periods are counted in epochs."""
    values = context.values
    steps, gpus = values.integer("maskrcnn.steps_per_epoch"), values.integer("maskrcnn.gpus")
    splits = str(values.get("maskrcnn.data_train"))
    if not steps or not gpus or "train2017" not in splits or values.integer("maskrcnn.images_per_epoch"):
        return
    batch = gpus * (values.integer("maskrcnn.batch_size_per_gpu") or 1)
    images = steps * batch
    epoch = values.catalogue.images.get("train2017")
    if epoch and images > 1.5 * epoch:
        yield Violation(
            "maskrcnn.steps_per_epoch",
            f"{steps:,} steps of {batch} images are {images:,} images, {images / epoch:.1f} times train2017.",
            f"Set steps_per_epoch to {round(epoch / batch)} ({epoch} / {batch}).",
        )


@rule(
    "MRC065",
    Severity.WARNING,
    "the model is evaluated and saved during training",
    failing="maskrcnn: {gpus: 8, steps_per_epoch: 15000, lr_schedule: 1x, eval_period_in_epochs: 20}",
    passing="maskrcnn: {gpus: 8, steps_per_epoch: 15000, lr_schedule: 1x, eval_period_in_epochs: 1}",
)
def periods_fit_training(context: Context) -> Iterator[Violation]:
    """Evaluation and checkpoint periods are counted in epochs. If a period is longer than the training,
    there is none before the end, and the loss of a pod loses everything."""
    if (planned := _schedule(context)) is None:
        return
    schedule, train, _ = planned
    epochs = schedule.epochs
    periods = (
        ("TRAIN.EVAL_PERIOD", "evaluation", train.EVAL_PERIOD),
        ("TRAIN.CHECKPOINT_PERIOD", "checkpoint", train.CHECKPOINT_PERIOD),
    )
    for key, what, period in periods:
        given = any(setting.key == key for setting in _effective(context))
        if given and period > epochs:
            yield Violation(
                _name_of(context, key),
                f"training has only {epochs} epochs, so there is no {what} every {period} epochs.",
                f"Set it to {max(1, epochs // 4)}.",
            )


@rule(
    "MRC066",
    Severity.WARNING,
    "each setting of the trainer is set once",
    failing="maskrcnn: {base_lr: 0.02, extra_config: [TRAIN.BASE_LR=0.01]}",
    passing="maskrcnn: {base_lr: 0.02, extra_config: [TRAIN.WARMUP=500]}",
)
def setting_is_given_once(context: Context) -> Iterator[Violation]:
    """extra_config takes precedence over the other values, so the value that is overridden misleads
    whoever reads it."""
    if not _is_our_trainer(context):
        return
    names = {key: name for name, key in keys(context.values).items()}
    earlier: dict[str, str] = {
        key: f"maskrcnn.{name}" for key, name in names.items() if context.values.sets(f"maskrcnn.{name}")
    }
    for setting in _extra(context):
        if setting.key in earlier:
            yield Violation(
                dotted(setting.path),
                f"{setting.key} overrides {earlier[setting.key]}.",
                "Keep one of the two.",
            )
        earlier[setting.key] = f"an earlier {setting.key}"


@rule(
    "MRC067",
    Severity.WARNING,
    "only one schedule is set",
    failing="maskrcnn: {lr_schedule: 1x, lr_epoch_schedule: '[(16, 0.1), (24, None)]'}",
    passing="maskrcnn: {lr_epoch_schedule: '[(16, 0.1), (24, None)]'}",
)
def one_schedule_is_set(context: Context) -> Iterator[Violation]:
    """lr_epoch_schedule takes precedence over lr_schedule, and images_per_epoch over steps_per_epoch."""
    values = context.values
    for stronger, weaker in (("lr_epoch_schedule", "lr_schedule"), ("images_per_epoch", "steps_per_epoch")):
        # The stronger one may be the chart's default, as in maskrcnn-optimized.
        given = values.sets(f"maskrcnn.{weaker}") and values.get(f"maskrcnn.{weaker}")
        if given and values.get(f"maskrcnn.{stronger}") and _is_our_trainer(context):
            yield Violation(
                f"maskrcnn.{weaker}",
                f"is ignored: {stronger} takes precedence.",
                f"Remove {weaker}, or set {stronger} to null.",
            )


@rule(
    "MRC068",
    Severity.WARNING,
    "frozen layers have pre-trained weights",
    failing="maskrcnn: {backbone_weights: '', backbone_norm: FreezeBN}",
    passing="maskrcnn: {backbone_weights: '', backbone_norm: GN, extra_config: [BACKBONE.FREEZE_AT=0]}",
)
def frozen_layers_have_weights(context: Context) -> Iterator[Violation]:
    """FreezeBN and BACKBONE.FREEZE_AT keep parts of the backbone fixed, which only makes sense with
    pre-trained weights. Trained from scratch, those parts stay random."""
    if not _is_our_trainer(context) or context.values.get("maskrcnn.backbone_weights"):
        return
    given = {setting.key: setting for setting in _effective(context)}
    if "BACKBONE.WEIGHTS" in given:
        return
    norm = _text(given.get("BACKBONE.NORM"), "FreezeBN")
    freeze_at = _text(given.get("BACKBONE.FREEZE_AT"), "2")
    if norm == "FreezeBN":
        what, fix = "FreezeBN keeps its statistics fixed", "Set backbone_norm to GN"
    elif freeze_at != "0":
        what, fix = (
            f"BACKBONE.FREEZE_AT={freeze_at} keeps its first layers fixed",
            "Add BACKBONE.FREEZE_AT=0 to extra_config",
        )
    else:
        return
    yield Violation(
        "maskrcnn.backbone_weights",
        f"is empty: the backbone is initialized randomly, and {what}.",
        f"{fix}, or set backbone_weights.",
    )


@rule(
    "MRC069",
    Severity.WARNING,
    "batch normalization has a large enough batch",
    failing="maskrcnn: {backbone_norm: BN, batch_size_per_gpu: 1}",
    passing="maskrcnn: {backbone_norm: SyncBN, batch_size_per_gpu: 1}",
)
def batch_norm_has_a_batch(context: Context) -> Iterator[Violation]:
    """BN normalizes with the statistics of the images on one rank. With one or two images these are noise,
    and the model fails at inference. SyncBN uses the statistics of all ranks; GN needs none."""
    given = {setting.key: setting for setting in _effective(context)}
    images = _text(given.get("TRAIN.BATCH_SIZE_PER_GPU"), "1")
    norm = given.get("BACKBONE.NORM")
    if _is_our_trainer(context) and norm and _text(norm, "") == "BN" and images in ("1", "2"):
        yield Violation(
            dotted(norm.path),
            f"BN uses the statistics of {'one image' if images == '1' else 'two images'}, the "
            "batch of a rank.",
            "Set backbone_norm to SyncBN, GN or FreezeBN.",
        )


@rule(
    "MRC080",
    Severity.WARNING,
    "base_lr is for a total batch of 8",
    failing="maskrcnn: {base_lr: 0.0015625}",
    passing="maskrcnn: {base_lr: 0.0125}",
)
def learning_rate_is_for_eight_images(context: Context) -> Iterator[Violation]:
    """base_lr is the learning rate for a total batch of 8 images; the trainer scales it with the batch.
    With a randomly initialized head, 0.005 to 0.02 are usual (0.01 in tensorpack, 0.02 for 16 images in
    Detectron). The later optimized tutorial uses the rate per image, 0.0015625, an eighth of that, so the
    model would learn eight times as slowly. Adam needs other rates, and fine-tuning a trained detector may
    need a small one."""
    if not _is_our_trainer(context):
        return
    given = {setting.key: setting for setting in _effective(context)}
    setting = given.get("TRAIN.BASE_LR")
    if setting is None or _text(given.get("TRAIN.OPTIMIZER"), "momentum") != "momentum":
        return
    try:
        rate = Decimal(_text(setting, ""))
    except InvalidOperation:
        return  # reported by another rule
    low, high = (limit / BATCH_OF_BASE_LR for limit in USUAL_RATES)
    if rate.is_finite() and low <= rate <= high:
        rescaled = f"{(rate * BATCH_OF_BASE_LR).normalize():f}"
        yield Violation(
            dotted(setting.path),
            f"{rate:f} looks like a rate per image; base_lr is for a total batch of {BATCH_OF_BASE_LR}.",
            f"Set it to {rescaled}, or keep it to fine-tune a trained detector.",
        )


BATCH_OF_BASE_LR = 8
"""The total batch that TRAIN.BASE_LR refers to, in images."""

USUAL_RATES = (Decimal("0.005"), Decimal("0.02"))
"""Lowest and highest usual learning rate of Mask R-CNN on COCO at a total batch of 8."""


def _schedule(context: Context) -> "tuple[LearningRate, Train, int] | None":
    """The trainer's schedule, settings and total batch; None for settings that another rule rejects."""
    from mrc_train.config import parse
    from mrc_train.errors import ConfigError
    from mrc_train.schedule import LearningRate

    gpus = context.values.integer("maskrcnn.gpus")
    if not _is_our_trainer(context) or not gpus or gpus < 1:
        return None
    try:
        train = parse(setting.text for setting in _effective(context)).TRAIN
        batch = gpus * train.BATCH_SIZE_PER_GPU
        return LearningRate.from_config(train, batch), train, batch
    except ConfigError:
        return None


def _name_of(context: Context, *keys: str) -> str:
    """The name of the value that the last setting with one of the keys comes from."""
    matching = [setting for setting in _effective(context) if setting.key in keys]
    return dotted(matching[-1].path) if matching else "maskrcnn.lr_schedule"


def _extra(context: Context) -> Iterator[ConfigArgument]:
    """The settings of extra_config, unless the schema rejects it."""
    return iter(()) if context.rejected("maskrcnn.extra_config") else extra(context.values)


def _effective(context: Context) -> list[ConfigArgument]:
    """Settings with a known key; for another trainer, those with the same meaning in both."""
    candidates = [
        setting
        for setting in settings(context.values)
        if "=" in setting.text and setting.path[:2] not in context.unusable
    ]
    if _is_our_trainer(context):
        return [setting for setting in candidates if setting.key in _known_keys()]
    known = keys(context.values)
    return [setting for setting in candidates if setting.path[1] in known and setting.key != "MODE_FPN"]


def _given(keys: Sequence[str], candidates: Sequence[ConfigArgument]) -> ConfigArgument:
    """The setting to report of those that a problem is about: the first key that the values set, and of
    several settings with that key the last, which counts."""
    by_key = {setting.key: setting for setting in candidates}
    return next(
        (by_key[key] for key in keys if key in by_key), ConfigArgument(("maskrcnn", "extra_config"), "")
    )


def _fix(key: str) -> str:
    from mrc_train.config import known_keys

    field = known_keys().get(key)
    description = str(getattr(field, "description", "") or "")
    return f"Correct the value. {key}: {description[0].lower()}{description[1:]}" if description else ""


def _text(setting: ConfigArgument | None, default: str) -> str:
    return setting.text.partition("=")[2].strip().strip("'\"") if setting else default
