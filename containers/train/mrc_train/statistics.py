"""Writers of stats.json and of TensorBoard's events, for scalars of the current step and of earlier steps."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrc_cli.files import write_atomically

from mrc_train.log import log
from mrc_train.tfgraph import v1

from tensorpack.callbacks import TFEventWriter  # isort: skip
from tensorpack.callbacks.monitor import MonitorBase  # isort: skip


class Statistics(MonitorBase):
    """Writes stats.json in tensorpack's format: a list with one mapping of scalars per epoch.

    A failed write does not end the training: it is logged, and the next entry writes the file again.

    Args:
        path: the file, which is replaced atomically.
        entries: entries from before the run was resumed, up to the step of the checkpoint.
    """

    def __init__(self, path: Path, entries: Sequence[dict[str, Any]]) -> None:
        super().__init__()
        self._path = path
        self._entries = list(entries)
        self._scalars: dict[str, float] = {}

    def process_scalar(self, name: str, value: float) -> None:
        """Keep a scalar for the next entry."""
        self._scalars[name] = value

    def _trigger_step(self) -> None:
        if self.local_step != self.trainer.steps_per_epoch - 1:  # the last step is written with its epoch
            self._trigger()

    def _trigger_epoch(self) -> None:
        self._trigger()

    def _trigger(self) -> None:
        if self._scalars:
            scalars, self._scalars = self._scalars, {}
            self.add(self.global_step, scalars)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add scalars to the entry of a step. Those of an earlier step without an entry are dropped."""
        entry = next((entry for entry in reversed(self._entries) if entry["global_step"] == step), None)
        if entry is None:
            if step != self.global_step:
                return
            entry = {"epoch_num": self.epoch_num, "global_step": step}
            self._entries.append(entry)
        entry.update(scalars)
        try:
            write_atomically(self._path, json.dumps(self._entries))
        except OSError as error:
            log.warning(f"{self._path} cannot be written: {error.strerror}; training continues")


class Events(TFEventWriter):
    """Writes TensorBoard's event file.

    A failed write does not end the training: it is logged, what was not written is lost, and a new file is
    begun.

    Args:
        first_summaries: summaries to write before the first step.
    """

    def __init__(self, first_summaries: Sequence[Any]) -> None:
        super().__init__()
        self._first_summaries = first_summaries
        self._files = 1
        self._is_broken = False
        _silence_event_threads()

    def __new__(cls, first_summaries: Sequence[Any]) -> "Events":
        """Overrides that of tensorpack, which has other arguments."""
        return super().__new__(cls)  # type: ignore[no-any-return]

    def _before_train(self) -> None:
        for summary in self._first_summaries:
            self.add_summary(0, summary)
        super()._before_train()

    def _write_graph(self) -> None:
        self._try(super()._write_graph)

    def process_summary(self, summary: Any) -> None:
        """Write a summary for the current step."""
        self.add_summary(self.global_step, summary)

    def process_event(self, evt: Any) -> None:
        """Write an event."""
        self._try(lambda: self._writer.add_event(evt))

    def _trigger(self) -> None:
        self._try(super()._trigger)

    def _after_train(self) -> None:
        self._try(super()._after_train)

    def _try(self, write: Callable[[], object]) -> None:
        try:
            if self._is_broken:
                self._begin_file()
                self._is_broken = False
            write()
        except Exception as error:  # whatever TensorFlow raises, it does not concern the training
            if not self._is_broken:
                reason = str(error).splitlines()[0].rpartition("; ")[2]
                log.warning(f"TensorBoard's events cannot be written: {reason}; training continues")
            self._is_broken = True

    def _begin_file(self) -> None:
        """A writer that has failed once never writes again."""
        self._files += 1
        self._writer = v1.summary.FileWriter(
            self._logdir,
            max_queue=self._max_queue,
            flush_secs=self._flush_secs,
            filename_suffix=f".{self._files}",
        )

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of a step, which may be an earlier one."""
        values = [v1.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self.add_summary(step, v1.Summary(value=values))

    def add_summary(self, step: int, summary: Any) -> None:
        """Write a summary for a step."""
        self._try(lambda: self._writer.add_summary(summary, step))


def _silence_event_threads() -> None:
    """Print no traceback when the thread fails that writes events: ``Events`` logs a line."""
    show = threading.excepthook

    def excepthook(arguments: Any) -> None:
        if arguments.thread is None or arguments.thread.name != "EventLoggerThread":
            show(arguments)

    threading.excepthook = excepthook
