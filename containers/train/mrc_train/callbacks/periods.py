"""When callbacks with a period of several epochs run."""

from tensorpack import Callback


def is_due(callback: Callback, period: int) -> bool:
    """Whether a period of epochs ends with the current epoch, or the run does; never for a period of 0."""
    if not period:
        return False
    return bool(callback.epoch_num % period == 0 or callback.epoch_num == callback.trainer.max_epoch)
