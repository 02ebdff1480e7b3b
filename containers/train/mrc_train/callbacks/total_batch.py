"""The total batch as a part of every checkpoint."""

from mrc_train.checkpoints import TOTAL_BATCH
from mrc_train.tfgraph import tf, v1

from tensorpack import Callback  # isort: skip


class TotalBatch(Callback):
    """Adds a variable that holds the number of images of a step over all ranks.

    Steps of another total batch mean other numbers of images: a run resumes only with the same. Must come
    before the callback that saves, and exist on all ranks, which broadcast all variables.
    """

    def __init__(self, total_batch: int) -> None:
        self._total_batch = total_batch
        self.chief_only = False

    def _setup_graph(self) -> None:
        v1.get_variable(
            TOTAL_BATCH,
            shape=[],
            dtype=tf.int32,
            initializer=v1.constant_initializer(self._total_batch),
            trainable=False,
        )
