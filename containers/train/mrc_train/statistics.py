"""stats.json and TensorBoard's events, for scalars of the step at hand and for those that come late."""

from collections.abc import Mapping

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
    """TensorBoard's file of events."""

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write scalars of an earlier step."""
        values = [v1.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._writer.add_summary(v1.Summary(value=values), step)
