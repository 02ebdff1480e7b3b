"""Reports on the steps that mixed precision skips."""

from pathlib import Path
from typing import Any

from mrc_train.callbacks.divergence import divergence_error
from mrc_train.log import log
from mrc_train.precision import LOSS_SCALE
from mrc_train.tfgraph import tf, v1

from tensorpack import Callback  # isort: skip


class LossScaleMonitor(Callback):
    """Logs each skipped step, and raises NotFiniteError when every step is skipped.

    The loss of a skipped step is finite and its gradients are not: they were too large for float16.

    Args:
        logdir: where the last good checkpoint is looked up.
    """

    def __init__(self, logdir: Path) -> None:
        self._logdir = logdir
        self.chief_only = False

    def _setup_graph(self) -> None:
        (self._scale,) = [v for v in v1.global_variables() if v.op.name == LOSS_SCALE]
        with tf.control_dependencies([self.trainer.train_op]):
            self._scale_after_step = self._scale.read_value()

    def _before_train(self) -> None:
        self._scale_before = float(v1.get_default_session().run(self._scale))

    def _before_run(self, _: Any) -> Any:
        return v1.train.SessionRunArgs(self._scale_after_step)

    def _after_run(self, _: Any, values: Any) -> None:
        scale, before = float(values.results), self._scale_before
        if scale <= 1:
            symptom = f"gradients are NaN or infinite at step {self.global_step} at every loss scale"
            raise divergence_error(symptom, self._logdir)
        if scale < before and self.trainer.is_chief:
            log.info(f"step {self.global_step} skipped: gradients beyond float16; loss scale now {scale:g}")
        self._scale_before = scale
