"""The error that ends a run whose loss or weights are no longer finite."""

from pathlib import Path

from mrc_train.checkpoints import newest_complete
from mrc_train.errors import NotFiniteError


def divergence_error(symptom: str, logdir: Path) -> NotFiniteError:
    """The error for a symptom such as "the loss is nan at step 7", naming the last good checkpoint."""
    return NotFiniteError(
        f"{symptom}; the last good checkpoint is {newest_complete(logdir) or 'none'}. Lower TRAIN.BASE_LR, "
        "lengthen TRAIN.WARMUP or set TRAIN.GRADIENT_CLIP, and start again to resume from the checkpoint."
    )
