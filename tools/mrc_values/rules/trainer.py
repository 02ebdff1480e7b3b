"""The trainer's settings, checked by the trainer's own configuration.

With train_script set the image brings a trainer of its own: what the chart's own values mean is the same
there, but extra_config may hold what nobody here knows.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING

from mrc_cli.findings import Severity, dotted
from mrc_cli.suggestions import nearest

from mrc_values.rules.registry import Context, Problem, rule
from mrc_values.trainer_settings import Setting, extra, keys, settings

if TYPE_CHECKING:
    from mrc_train.config import Train
    from mrc_train.schedule import LearningRate


@cache
def _known_keys() -> tuple[str, ...]:
    from mrc_train.config import known_keys

    return tuple(known_keys())


def _ours(context: Context) -> bool:
    return not context.values.text("maskrcnn.train_script")


@rule(
    "MRC060",
    Severity.ERROR,
    "the trainer knows every setting",
    failing="maskrcnn: {extra_config: [TRAIN.CHECKPOINT_PERIOT=2]}",
    passing="maskrcnn: {extra_config: [TRAIN.CHECKPOINT_PERIOD=2]}",
)
def trainer_knows_settings(context: Context) -> Iterator[Problem]:
    """The trainer stops at a setting that it does not have: after the nodes have started. Its own list of
    settings decides here."""
    if not _ours(context):
        return
    for setting in _extra(context):
        if "=" not in setting.text:
            yield Problem(dotted(setting.path), f"{setting.text} has no value.", "Write KEY=VALUE.")
        elif setting.key not in _known_keys():
            meant = nearest(setting.key, _known_keys())
            hint = f"Did you mean {meant}?" if meant else "`mrc-train --help` lists them."
            yield Problem(dotted(setting.path), f"{setting.key} is no setting of the trainer.", hint)


@rule(
    "MRC061",
    Severity.ERROR,
    "the trainer can use every setting",
    failing="maskrcnn: {extra_config: [TRAIN.WARMUP=soon]}",
    passing="maskrcnn: {extra_config: [TRAIN.WARMUP=500]}",
)
def trainer_can_use_settings(context: Context) -> Iterator[Problem]:
    """A setting of the wrong type or range stops the trainer as well, after the nodes have started."""
    from mrc_train.config import parse
    from mrc_train.errors import ConfigError

    known = [setting for setting in _effective(context) if not setting.key.endswith("_SCHEDULE")]
    try:
        parse(setting.text for setting in known)
    except ConfigError as error:
        for problem in error.problems:
            setting = _given(problem.keys, known)
            yield Problem(dotted(setting.path), f"{problem.message}.", _fix(setting.key))


@rule(
    "MRC062",
    Severity.ERROR,
    "the learning rate's steps rise",
    failing="maskrcnn: {lr_schedule: '[240000, 360000, 320000]'}",
    passing="maskrcnn: {lr_schedule: '[240000, 320000, 360000]'}",
)
def schedule_rises(context: Context) -> Iterator[Problem]:
    """lr_schedule lists the steps at which the learning rate drops, the last of which ends the training;
    lr_epoch_schedule does so in epochs, with the factor None at the end."""
    from mrc_train.config import parse
    from mrc_train.errors import ConfigError
    from mrc_train.schedule import LearningRate

    forms = {
        "TRAIN.LR_SCHEDULE": ("a list of steps in rising order", "'[240000,320000,360000]', or 1x to 9x"),
        "TRAIN.LR_EPOCH_SCHEDULE": (
            "a list of (epoch, factor) with rising epochs and None as the last factor",
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
            yield Problem(dotted(setting.path), f"{text} is not {form}.", f"Write it like {example}.")


@rule(
    "MRC063",
    Severity.WARNING,
    "the training is longer than its warm-up",
    failing="maskrcnn: {gpus: 64, lr_schedule: '[2000, 4000, 8000]'}",
    passing="maskrcnn: {gpus: 64, lr_schedule: '[120000, 160000, 180000]'}",
)
def training_outlasts_warmup(context: Context) -> Iterator[Problem]:
    """lr_schedule counts steps at a total batch of 8 and shrinks as the batch grows; TRAIN.WARMUP counts
    real steps and does not. With many GPUs the learning rate may drop before it was ever reached."""
    if (found := _schedule(context)) is None:
        return
    schedule, train, batch = found
    at, what = schedule.total_steps, "training ends"
    if schedule.milestones:
        at, what = schedule.milestones[0][0], "learning rate drops"
    if at > train.WARMUP:
        return
    by_epochs = train.LR_EPOCH_SCHEDULE is not None
    yield Problem(
        _name_of(context, "TRAIN.LR_EPOCH_SCHEDULE" if by_epochs else "TRAIN.LR_SCHEDULE"),
        f"at a total batch of {batch} the {what} after {at:,} steps, within the warm-up of {train.WARMUP:,}.",
        "Train longer, or add TRAIN.WARMUP=<fewer steps> to extra_config.",
    )


@rule(
    "MRC064",
    Severity.WARNING,
    "an epoch goes once over COCO",
    failing="maskrcnn: {gpus: 64, steps_per_epoch: 7500}",
    passing="maskrcnn: {gpus: 64, steps_per_epoch: 1875}",
)
def epoch_is_one_pass(context: Context) -> Iterator[Problem]:
    """An epoch is steps_per_epoch steps, however many GPUs there are, so it has to shrink as they grow:
    the tutorial's 120000 / gpus. Evaluation and checkpoints come by epochs."""
    values = context.values
    steps, gpus = values.integer("maskrcnn.steps_per_epoch"), values.integer("maskrcnn.gpus")
    splits = str(values.get("maskrcnn.data_train"))
    if not steps or not gpus or "train2017" not in splits or values.integer("maskrcnn.images_per_epoch"):
        return
    batch = gpus * (values.integer("maskrcnn.batch_size_per_gpu") or 1)
    images = steps * batch
    epoch = values.catalogue.images.get("train2017")
    if epoch and images > 1.5 * epoch:
        yield Problem(
            "maskrcnn.steps_per_epoch",
            f"{steps:,} steps of {batch} images are {images:,}, {images / epoch:.1f} times train2017.",
            f"Set steps_per_epoch to {round(epoch / batch)} ({epoch} / {batch}).",
        )


@rule(
    "MRC065",
    Severity.WARNING,
    "the model is evaluated and saved before the end",
    failing="maskrcnn: {gpus: 8, steps_per_epoch: 15000, lr_schedule: 1x, eval_period_in_epochs: 20}",
    passing="maskrcnn: {gpus: 8, steps_per_epoch: 15000, lr_schedule: 1x, eval_period_in_epochs: 1}",
)
def periods_fit_training(context: Context) -> Iterator[Problem]:
    """Evaluation and checkpoints come every so many epochs. With a period longer than the training there is
    none until its end, and a lost pod loses everything."""
    if (found := _schedule(context)) is None:
        return
    schedule, train, _ = found
    epochs = schedule.epochs
    periods = (
        ("TRAIN.EVAL_PERIOD", "evaluation", train.EVAL_PERIOD),
        ("TRAIN.CHECKPOINT_PERIOD", "checkpoint", train.CHECKPOINT_PERIOD),
    )
    for key, what, period in periods:
        given = any(setting.key == key for setting in _effective(context))
        if given and period > epochs:
            yield Problem(
                _name_of(context, key),
                f"the training has {epochs} epochs, so there is no {what} every {period}.",
                f"Set it to {max(1, epochs // 4)}.",
            )


@rule(
    "MRC066",
    Severity.WARNING,
    "a setting is given once",
    failing="maskrcnn: {base_lr: 0.02, extra_config: [TRAIN.BASE_LR=0.01]}",
    passing="maskrcnn: {base_lr: 0.02, extra_config: [TRAIN.WARMUP=500]}",
)
def setting_is_given_once(context: Context) -> Iterator[Problem]:
    """extra_config comes last, so of two for one key the one there counts, and the other misleads whoever
    reads the values."""
    if not _ours(context):
        return
    names = {key: name for name, key in keys(context.values).items()}
    seen: dict[str, str] = {
        key: f"maskrcnn.{name}" for key, name in names.items() if context.values.sets(f"maskrcnn.{name}")
    }
    for setting in _extra(context):
        if setting.key in seen:
            yield Problem(
                dotted(setting.path),
                f"{setting.key} takes the place of {seen[setting.key]}.",
                "Keep one of the two.",
            )
        seen[setting.key] = f"an earlier {setting.key}"


@rule(
    "MRC067",
    Severity.WARNING,
    "one schedule decides",
    failing="maskrcnn: {lr_schedule: 1x, lr_epoch_schedule: '[(16, 0.1), (24, None)]'}",
    passing="maskrcnn: {lr_epoch_schedule: '[(16, 0.1), (24, None)]'}",
)
def one_schedule_decides(context: Context) -> Iterator[Problem]:
    """lr_epoch_schedule takes the place of lr_schedule, and images_per_epoch of steps_per_epoch."""
    values = context.values
    for winner, loser in (("lr_epoch_schedule", "lr_schedule"), ("images_per_epoch", "steps_per_epoch")):
        # The winner may be the chart's default, as in maskrcnn-optimized.
        given = values.sets(f"maskrcnn.{loser}") and values.get(f"maskrcnn.{loser}")
        if given and values.get(f"maskrcnn.{winner}") and _ours(context):
            yield Problem(
                f"maskrcnn.{loser}",
                f"is not used: {winner} takes its place.",
                f"Take {loser} out, or set {winner} to null.",
            )


@rule(
    "MRC068",
    Severity.WARNING,
    "frozen layers have weights",
    failing="maskrcnn: {backbone_weights: '', backbone_norm: FreezeBN}",
    passing="maskrcnn: {backbone_weights: '', backbone_norm: GN, extra_config: [BACKBONE.FREEZE_AT=0]}",
)
def frozen_layers_have_weights(context: Context) -> Iterator[Problem]:
    """FreezeBN and BACKBONE.FREEZE_AT keep parts of the backbone as they are, which makes sense for
    pre-trained weights only. From scratch they stay random."""
    if not _ours(context) or context.values.get("maskrcnn.backbone_weights"):
        return
    given = {setting.key: setting for setting in _effective(context)}
    if "BACKBONE.WEIGHTS" in given:
        return
    norm = _text(given.get("BACKBONE.NORM"), "FreezeBN")
    freeze_at = _text(given.get("BACKBONE.FREEZE_AT"), "2")
    if norm == "FreezeBN":
        what, fix = "FreezeBN keeps its statistics", "Set backbone_norm to GN"
    elif freeze_at != "0":
        what, fix = (
            f"BACKBONE.FREEZE_AT={freeze_at} keeps its first layers",
            "Add BACKBONE.FREEZE_AT=0 to extra_config",
        )
    else:
        return
    yield Problem(
        "maskrcnn.backbone_weights",
        f"the backbone starts from scratch, and {what} as they are: random.",
        f"{fix}, or give backbone_weights.",
    )


@rule(
    "MRC069",
    Severity.WARNING,
    "batch statistics have a batch",
    failing="maskrcnn: {backbone_norm: BN, batch_size_per_gpu: 1}",
    passing="maskrcnn: {backbone_norm: SyncBN, batch_size_per_gpu: 1}",
)
def batch_norm_has_a_batch(context: Context) -> Iterator[Problem]:
    """BN normalises with the statistics of one rank's images. Of one or two images they are noise, and the
    model falls apart when it is used. SyncBN takes those of all ranks, GN needs none."""
    given = {setting.key: setting for setting in _effective(context)}
    images = _text(given.get("TRAIN.BATCH_SIZE_PER_GPU"), "1")
    norm = given.get("BACKBONE.NORM")
    if _ours(context) and norm and _text(norm, "") == "BN" and images in ("1", "2"):
        yield Problem(
            dotted(norm.path),
            f"BN takes the statistics of a rank's batch: {'one image' if images == '1' else 'two images'}.",
            "Set backbone_norm to SyncBN, GN or FreezeBN.",
        )


@rule(
    "MRC080",
    Severity.WARNING,
    "the learning rate counts for eight images",
    failing="maskrcnn: {base_lr: 0.0015625}",
    passing="maskrcnn: {base_lr: 0.0125}",
)
def learning_rate_is_for_eight_images(context: Context) -> Iterator[Problem]:
    """base_lr is the learning rate of a total batch of 8 images; the trainer scales it with the batch. From a
    random head 0.005 to 0.02 are usual (0.01 in tensorpack, 0.02 for 16 images in Detectron). The later
    optimized tutorial gives the rate of one image, 0.0015625, an eighth of that: the model would learn eight
    times as slowly. Adam's rates are others, and fine-tuning a trained detector may want a small one."""
    if not _ours(context):
        return
    given = {setting.key: setting for setting in _effective(context)}
    setting = given.get("TRAIN.BASE_LR")
    if setting is None or _text(given.get("TRAIN.OPTIMIZER"), "momentum") != "momentum":
        return
    try:
        rate = Decimal(_text(setting, ""))
    except InvalidOperation:
        return  # another rule's to report
    low, high = (limit / BATCH_OF_BASE_LR for limit in USUAL_RATES)
    if rate.is_finite() and low <= rate <= high:
        whole = f"{(rate * BATCH_OF_BASE_LR).normalize():f}"
        yield Problem(
            dotted(setting.path),
            f"{rate:f} looks like the rate of one image; it counts for a total batch of {BATCH_OF_BASE_LR}.",
            f"Set it to {whole}, or leave it when you fine-tune a trained detector.",
        )


BATCH_OF_BASE_LR = 8
"""Images for which TRAIN.BASE_LR is given."""

USUAL_RATES = (Decimal("0.005"), Decimal("0.02"))
"""Learning rates of Mask R-CNN on COCO for a total batch of 8, lowest and highest."""


def _schedule(context: Context) -> "tuple[LearningRate, Train, int] | None":
    """The trainer's schedule, settings and total batch; None for settings that another rule refuses."""
    from mrc_train.config import parse
    from mrc_train.errors import ConfigError
    from mrc_train.schedule import LearningRate

    gpus = context.values.integer("maskrcnn.gpus")
    if not _ours(context) or not gpus or gpus < 1:
        return None
    try:
        train = parse(setting.text for setting in _effective(context)).TRAIN
        batch = gpus * train.BATCH_SIZE_PER_GPU
        return LearningRate.from_config(train, batch), train, batch
    except ConfigError:
        return None


def _name_of(context: Context, *keys: str) -> str:
    """The value that decides: where the last setting with one of the keys comes from."""
    found = [setting for setting in _effective(context) if setting.key in keys]
    return dotted(found[-1].path) if found else "maskrcnn.lr_schedule"


def _extra(context: Context) -> Iterator[Setting]:
    """The settings of extra_config, unless the schema refuses it."""
    return iter(()) if context.refused("maskrcnn.extra_config") else extra(context.values)


def _effective(context: Context) -> list[Setting]:
    """Settings with a known key; for another trainer those that mean the same to both."""
    found = [
        setting
        for setting in settings(context.values)
        if "=" in setting.text and setting.path[:2] not in context.unusable
    ]
    if _ours(context):
        return [setting for setting in found if setting.key in _known_keys()]
    known = keys(context.values)
    return [setting for setting in found if setting.path[1] in known and setting.key != "MODE_FPN"]


def _given(keys: Sequence[str], candidates: Sequence[Setting]) -> Setting:
    """The setting to report of those that a problem is about: the first key that the values set, and of
    several settings with that key the last, which counts."""
    by_key = {setting.key: setting for setting in candidates}
    return next((by_key[key] for key in keys if key in by_key), Setting(("maskrcnn", "extra_config"), ""))


def _fix(key: str) -> str:
    from mrc_train.config import known_keys

    field = known_keys().get(key)
    description = str(getattr(field, "description", "") or "")
    return f"{key} is: {description[0].lower()}{description[1:]}" if description else ""


def _text(setting: Setting | None, default: str) -> str:
    return setting.text.partition("=")[2].strip().strip("'\"") if setting else default
