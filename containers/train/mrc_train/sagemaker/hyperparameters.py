"""Hyperparameters of a SageMaker job as settings of the trainer.

The trainer's own keys (``TRAIN.BASE_LR``) are passed on. The names of AWS's sample and of the charts' values
are accepted for the same settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mrc_cli.errors import UserError
from mrc_cli.suggestions import nearest

from mrc_train import config

SETTINGS = {
    # AWS's sample
    "mode_fpn": "MODE_FPN",
    "mode_mask": "MODE_MASK",
    "eval_period": "TRAIN.EVAL_PERIOD",
    "lr_schedule": "TRAIN.LR_SCHEDULE",
    "lr_epoch_schedule": "TRAIN.LR_EPOCH_SCHEDULE",
    "batch_norm": "BACKBONE.NORM",
    "images_per_epoch": "TRAIN.IMAGES_PER_EPOCH",
    "batch_size_per_gpu": "TRAIN.BATCH_SIZE_PER_GPU",
    "gradient_clip": "TRAIN.GRADIENT_CLIP",
    "data_train": "DATA.TRAIN",
    "data_val": "DATA.VAL",
    # the charts' values
    "backbone_norm": "BACKBONE.NORM",
    "backbone_weights": "BACKBONE.WEIGHTS",
    "base_lr": "TRAIN.BASE_LR",
    "data_dir": "DATA.BASEDIR",
    "eval_period_in_epochs": "TRAIN.EVAL_PERIOD",
    "fp16": "TRAIN.MIXED_PRECISION",
    "steps_per_epoch": "TRAIN.STEPS_PER_EPOCH",
}

ENVIRONMENT = {
    "horovod_cycle_time": "HOROVOD_CYCLE_TIME",
    "horovod_fusion_threshold": "HOROVOD_FUSION_THRESHOLD",
    "nccl_min_rings": "NCCL_MIN_NRINGS",
    "nccl_debug": "NCCL_DEBUG",
}

TOKEN = "mrc_job_token"  # noqa: S105
"""Secret of one job with which its hosts recognize each other."""

LOAD = "load_model"
RANKS_PER_HOST = "ranks_per_host"

_SDK_PREFIX = "sagemaker_"
"""Hyperparameters that the SageMaker SDK adds for its own containers."""


class Setting(NamedTuple):
    """A setting, with the hyperparameter that it came from."""

    name: str
    key: str
    value: str


@dataclass(frozen=True)
class Arguments:
    """What the hyperparameters ask for.

    Attributes:
        settings: in the order of the names, so that all hosts agree.
        load: the trainer's --load; empty for none.
        environment: variables for the ranks.
        ranks_per_host: 0: one rank for each GPU.
        token: the job's secret; empty if none is given.
    """

    settings: Sequence[Setting]
    load: str
    environment: Mapping[str, str]
    ranks_per_host: int
    token: str

    def get(self, key: str) -> str:
        """A setting's value; empty if it is not set."""
        return next((setting.value for setting in reversed(self.settings) if setting.key == key), "")


def arguments(hyperparameters: Mapping[str, str]) -> Arguments:
    """Tell settings, environment and what is meant for ``train`` itself apart.

    Raises:
        UserError: for a name that is not known, and for two names of one setting.
        ConfigError: for settings that the trainer rejects.
    """
    settings: list[Setting] = []
    environment = {}
    own = {LOAD: "", RANKS_PER_HOST: "0", TOKEN: ""}
    for name, text in sorted(hyperparameters.items()):
        value = _unquoted(text)
        if name.startswith(_SDK_PREFIX):
            continue
        if name in own:
            own[name] = value
        elif name in ENVIRONMENT:
            environment[ENVIRONMENT[name]] = value
        else:
            settings.append(Setting(name, _key(name), value))
    _check_once(settings)
    config.parse(f"{setting.key}={setting.value}" for setting in settings)
    return Arguments(settings, own[LOAD], environment, _count(own[RANKS_PER_HOST]), own[TOKEN])


def _key(name: str) -> str:
    known = config.known_keys()
    if name in known:
        return name
    if name in SETTINGS:
        return SETTINGS[name]
    others = [*SETTINGS, *ENVIRONMENT, LOAD, RANKS_PER_HOST]
    meant = nearest(name, others if name.islower() else known)
    hint = f"did you mean {meant}?" if meant else "see docs/sagemaker.md for the names"
    raise UserError(f"hyperparameter {name}: unknown; {hint}")


def _check_once(settings: Sequence[Setting]) -> None:
    names: dict[str, str] = {}
    for setting in settings:
        if setting.key in names:
            raise UserError(
                f"hyperparameters {names[setting.key]} and {setting.name} both set {setting.key}; remove one"
            )
        names[setting.key] = setting.name


def _unquoted(text: str) -> str:
    """The SageMaker SDK writes strings as JSON: ``"True"`` with its quotes."""
    quoted = len(text) >= 2 and text[0] == text[-1] == '"'
    return text[1:-1].replace('\\"', '"') if quoted else text


def _count(text: str) -> int:
    if not text.isdecimal():
        raise UserError(f"hyperparameter {RANKS_PER_HOST}: {text!r} is not a number of ranks")
    return int(text)
