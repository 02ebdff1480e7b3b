"""Gradient accumulation: one step from several batches, so that few GPUs train with a large total batch."""

from collections.abc import Callable
from typing import Any

from mrc_train.tfgraph import tf, v1

from tensorpack import HorovodTrainer, SimpleTrainer  # isort: skip


class _Accumulating:
    """A tensorpack trainer whose steps use the mean gradient of ``batches`` batches.

    The sums of gradients are local variables, which checkpoints do not contain: between steps they are zero,
    and a resumed run may accumulate another number of batches. Hooks run with the last batch of a step;
    ``earlier_batches`` has the values of the ``watched`` tensors for the batches before it.
    """

    def __init__(self, batches: int, watched: list[str], **options: Any) -> None:
        super().__init__(**options)
        self._batches = batches
        self._watched = watched
        self.earlier_batches: list[list[Any]] = []

    def _make_get_grad_fn(self, *functions: Any) -> Callable[[], Any]:
        batch_gradients = super()._make_get_grad_fn(*functions)  # type: ignore[misc]

        def mean_gradients() -> list[tuple[Any, Any]]:
            pairs = batch_gradients()
            sums = [_zeros_like(variable) for _, variable in pairs]
            self._accumulate = tf.group(
                *[total.assign_add(gradient) for total, (gradient, _) in zip(sums, pairs, strict=True)]
            )
            return [
                (self._mean_and_reset(total, gradient), variable)
                for total, (gradient, variable) in zip(sums, pairs, strict=True)
            ]

        return mean_gradients

    def _mean_and_reset(self, total: Any, gradient: Any) -> Any:
        """The mean gradient of a step, from the sum and the last batch's gradient; resets the sum."""
        mean = (total.read_value() + gradient) / self._batches
        with tf.control_dependencies([mean]):
            reset = total.assign(tf.zeros_like(mean))
        with tf.control_dependencies([reset]):
            return tf.identity(mean)

    def run_step(self) -> None:
        """Run one optimizer step."""
        fetches = [self._accumulate, self._watched]
        self.earlier_batches = [self.sess.run(fetches)[1] for _ in range(self._batches - 1)]  # type: ignore[attr-defined]
        super().run_step()  # type: ignore[misc]


def _zeros_like(variable: Any) -> Any:
    return v1.get_variable(
        f"accumulated/{variable.op.name}",
        shape=variable.shape,
        initializer=v1.zeros_initializer(),
        trainable=False,
        collections=[v1.GraphKeys.LOCAL_VARIABLES],
        use_resource=True,
    )


class AccumulatingTrainer(_Accumulating, SimpleTrainer):
    """Gradient accumulation in a single process."""


class AccumulatingHorovodTrainer(_Accumulating, HorovodTrainer):
    """Gradient accumulation on several ranks, which exchange their gradients once per step."""
