"""Checkpoints of a run."""

import os
from pathlib import Path

from mrc_cli.files import flush_directory

from mrc_train.callbacks.divergence import divergence_error
from mrc_train.callbacks.periods import is_due
from mrc_train.checkpoints import all_prefixes, newest_complete
from mrc_train.errors import RunDirectoryError, reason
from mrc_train.log import log
from mrc_train.run_lines import Checkpoint
from mrc_train.statistics import Statistics
from mrc_train.tfgraph import tf, v1

from tensorpack import ModelSaver  # isort: skip

MAX_CHECKPOINTS = 5


class CheckpointSaver(ModelSaver):
    """Saves ``model-<step>`` at the end of epochs and of the run, and keeps the newest five.

    Must come before the evaluation among the callbacks, so that an evaluation never costs a checkpoint. The
    epoch's entry in stats.json is written first: a run killed between the two has no gap there.

    Args:
        periods: a checkpoint is due when one of these numbers of epochs has passed; 0 is no period.
    """

    def __init__(self, periods: tuple[int, ...], statistics: Statistics) -> None:
        super().__init__(max_to_keep=MAX_CHECKPOINTS, keep_checkpoint_every_n_hours=1_000_000)
        self._periods = periods
        self._statistics = statistics
        self._saved_step = -1

    def _setup_graph(self) -> None:
        super()._setup_graph()
        floats = [variable for variable in v1.global_variables() if variable.dtype.base_dtype.is_floating]
        self._all_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in floats])

    def _before_train(self) -> None:
        """Count the checkpoints of earlier starts among the five.

        tensorpack's own method would write the graph to disk at every start; nothing here reads it.
        """
        self.saver.recover_last_checkpoints(
            [str(prefix) for prefix in all_prefixes(Path(self.checkpoint_dir))]
        )

    def _trigger(self) -> None:
        if any(is_due(self, period) for period in self._periods):
            self.save()

    def save(self) -> None:
        """Save the current step, once.

        Raises:
            NotFiniteError: for weights that are not finite: resuming from them would be useless.
            RunDirectoryError: when the file cannot be written. Earlier checkpoints are kept.
        """
        if self._saved_step == self.global_step:
            return
        directory, session = Path(self.checkpoint_dir), v1.get_default_session()
        if not session.run(self._all_finite):
            raise divergence_error(f"weights are NaN or infinite after step {self.global_step}", directory)
        self._statistics.trigger()
        name = f"model-{self.global_step}"
        try:
            self.saver.save(session, self.path, global_step=self.global_step, write_meta_graph=False)
            _flush(directory, name)
        except (OSError, tf.errors.OpError) as error:
            for part in directory.glob(f"{name}.*"):
                part.unlink()
            # Training on would only lose more: the next checkpoint would fail as well.
            raise RunDirectoryError(
                f"{directory / name} cannot be saved: {reason(error)}; the last good "
                f"checkpoint is {newest_complete(directory) or 'none'}. Free some space and start again to "
                "resume from it."
            ) from None
        self._saved_step = self.global_step
        log.info(Checkpoint(self.global_step, name).line())


def _flush(directory: Path, name: str) -> None:
    """Make a checkpoint survive a power failure: TensorFlow does not flush what it writes."""
    for part in directory.glob(f"{name}.*"):
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    flush_directory(directory)
