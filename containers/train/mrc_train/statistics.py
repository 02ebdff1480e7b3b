"""stats.json and TensorBoard's events, for scalars of the step at hand and for those that come late."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrc_train.tfgraph import v1

from tensorpack.callbacks import JSONWriter, TFEventWriter  # isort: skip


class Statistics(JSONWriter):
    """stats.json: an entry an epoch."""

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add to the entry of an epoch that ended with ``step``."""
        for entry in self._stats:
            if entry["global_step"] == step:
                entry.update(scalars)
        self._write_stat()


class Events(TFEventWriter):
    """TensorBoard's file of events.

    Args:
        about: summaries to begin with.
    """

    def __init__(self, about: Sequence[Any]) -> None:
        super().__init__()
        self._about = about

    def __new__(cls, about: Sequence[Any]) -> "Events":
        """tensorpack's takes other arguments."""
        return super().__new__(cls)  # type: ignore[no-any-return]

    def _before_train(self) -> None:
        for summary in self._about:
            self._writer.add_summary(summary, 0)
        super()._before_train()

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write scalars of an earlier step."""
        values = [v1.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._writer.add_summary(v1.Summary(value=values), step)
