"""The end of a run before its last step: at a signal, or at the target."""

from collections.abc import Callable

from mrc_train.callbacks.checkpoint_saver import CheckpointSaver
from mrc_train.ranks import Ranks
from mrc_train.stopping import StopRequest

from tensorpack import Callback, StopTraining  # isort: skip


class RunStopper(Callback):
    """Ends the run on all ranks after the same step, with a checkpoint of it. Must be the last callback.

    Args:
        request: of this process; a signal to any rank stops all.
        target_reached: whether an evaluation reached the target; called on rank 0.
        saver: on rank 0; None on the other ranks.

    Attributes:
        signal_number: the signal that ended the run, else 0.
        at_target: whether the run ended because it reached its target.
        last_step: the number of finished steps; set when the training ends.
    """

    def __init__(
        self,
        ranks: Ranks,
        request: StopRequest,
        target_reached: Callable[[], bool] | None,
        saver: CheckpointSaver | None,
    ) -> None:
        self._ranks = ranks
        self._request = request
        self._target_reached = target_reached
        self._saver = saver
        self.chief_only = False
        self.signal_number = 0
        self.at_target = False
        self.last_step = 0

    def _after_train(self) -> None:
        self.last_step = self.global_step

    def _trigger_step(self) -> None:
        # After the last step of an epoch, the callbacks of the epoch's end come first.
        if self.local_step < self.trainer.steps_per_epoch - 1:
            self._stop_if_asked()

    def _trigger_epoch(self) -> None:
        self._stop_if_asked()
        if self._target_reached and self._ranks.max(self._target_reached()):
            self.at_target = True
            self._save_and_stop()

    def _stop_if_asked(self) -> None:
        self.signal_number = self._ranks.max(self._request.number)
        if self.signal_number:
            self._save_and_stop()

    def _save_and_stop(self) -> None:
        if self._saver:
            self._saver.save()
        # A rank that left before the checkpoint is complete would end the others.
        self._ranks.broadcast(None)
        raise StopTraining
