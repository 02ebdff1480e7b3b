"""The length of a run and the learning rate of each step. Pure Python."""

import math
from dataclasses import dataclass
from typing import Literal

from mrc_train.config import REFERENCE_BATCH, Train
from mrc_train.errors import ConfigError, ConfigProblem

_DETECTRON_1X = (120_000, 160_000, 180_000)


def steps_per_epoch(train: Train, total_batch: int) -> int:
    """Steps per epoch; with ``IMAGES_PER_EPOCH``, as many as are needed to see that number of images."""
    if train.IMAGES_PER_EPOCH is None:
        return train.STEPS_PER_EPOCH
    return math.ceil(train.IMAGES_PER_EPOCH / total_batch)


@dataclass(frozen=True)
class LearningRate:
    """The learning rate as a function of the step, counted from 0.

    It rises linearly over ``warmup`` steps from ``initial`` to ``peak``, and is multiplied by a decay:
    the factor of the last milestone reached, or half a cosine wave from 1 to 0 over all steps.
    """

    peak: float
    initial: float
    warmup: int
    milestones: tuple[tuple[int, float], ...]
    total_steps: int
    steps_per_epoch: int
    decay: Literal["step", "cosine"] = "step"

    @classmethod
    def from_config(cls, train: Train, total_batch: int) -> "LearningRate":
        """The schedule for ``total_batch`` images a step, over all ranks.

        Linear scaling (Goyal et al. 2017): both rates times total_batch / 8 and the steps of
        ``LR_SCHEDULE`` times 8 / total_batch; the warm-up keeps its steps. Raises ConfigError for an
        ``LR_EPOCH_SCHEDULE`` that has no end.
        """
        per_epoch = steps_per_epoch(train, total_batch)
        milestones, total_steps = _milestones(train, total_batch, per_epoch)
        scale = total_batch / REFERENCE_BATCH
        return cls(
            peak=train.BASE_LR * scale,
            initial=train.WARMUP_INIT_LR * scale,
            warmup=train.WARMUP,
            milestones=milestones,
            total_steps=total_steps,
            steps_per_epoch=per_epoch,
            decay=train.LR_DECAY,
        )

    @property
    def epochs(self) -> int:
        """Number of epochs; the last may extend beyond ``total_steps``."""
        return math.ceil(self.total_steps / self.steps_per_epoch)

    def __call__(self, step: int) -> float:
        """The learning rate of a step; after the last step, the final one."""
        ramp = self.peak
        if step < self.warmup:
            ramp = self.initial + (self.peak - self.initial) * step / self.warmup
        return ramp * self._decay(step)

    def _decay(self, step: int) -> float:
        if self.decay == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(step / self.total_steps, 1.0)))
        return next((factor for at, factor in reversed(self.milestones) if step >= at), 1.0)


def _milestones(train: Train, total_batch: int, per_epoch: int) -> tuple[tuple[tuple[int, float], ...], int]:
    """(step, factor) pairs, and the step at which training ends."""
    if train.LR_EPOCH_SCHEDULE is not None:
        *drops, (last, end) = train.LR_EPOCH_SCHEDULE
        epochs = [epoch for epoch, _ in train.LR_EPOCH_SCHEDULE]
        if end is not None or any(factor is None for _, factor in drops) or epochs != sorted(set(epochs)):
            message = (
                f"TRAIN.LR_EPOCH_SCHEDULE={list(train.LR_EPOCH_SCHEDULE)} must be (epoch, factor) pairs "
                "with rising epochs, factor None in the last only: [(16, 0.1), (20, 0.01), (24, None)]"
            )
            raise ConfigError(ConfigProblem(("TRAIN.LR_EPOCH_SCHEDULE",), message))
        return tuple(
            (epoch * per_epoch, factor) for epoch, factor in drops if factor is not None
        ), last * per_epoch
    steps = (
        _detectron_schedule(train.LR_SCHEDULE) if isinstance(train.LR_SCHEDULE, str) else train.LR_SCHEDULE
    )
    *drop_steps, total = (max(round(step * REFERENCE_BATCH / total_batch), 1) for step in steps)
    return tuple((step, 0.1**number) for number, step in enumerate(drop_steps, start=1)), total


def _detectron_schedule(name: str) -> tuple[int, ...]:
    """Detectron's "1x", "2x", ...: all but 1x drop 120 and 40 thousand steps before the end."""
    times = int(name.removesuffix("x"))
    if times == 1:
        return _DETECTRON_1X
    return tuple(180_000 * times - before for before in (120_000, 40_000, 0))
