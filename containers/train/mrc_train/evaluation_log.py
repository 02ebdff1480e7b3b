"""Where the outcome of evaluations is reported: log, stats.json, TensorBoard."""

from collections.abc import Mapping, Sequence

from mrc_train import dashboard
from mrc_train.config import Test
from mrc_train.data.coco import Split
from mrc_train.log import log
from mrc_train.run_lines import Evaluation, EvaluationFailed
from mrc_train.statistics import Events, Statistics
from mrc_train.targets import reaches_target

LOGGED_METRICS = ("bbox/AP", "bbox/AP50", "segm/AP", "segm/AP50")


class EvaluationLog:
    """Reports metrics with the step of their weights, which may have passed long ago.

    Args:
        splits: all validation splits; targets are compared with the metrics of the first. With several, a
            scalar's name starts with its split's.
        targets: the settings with the targets.

    Attributes:
        target_reached: whether any reported metrics reached the target.
    """

    def __init__(
        self, splits: Sequence[Split], targets: Test, statistics: Statistics | None, events: Events | None
    ) -> None:
        self._splits = splits
        self._targets = targets
        self._monitors = [monitor for monitor in (statistics, events) if monitor is not None]
        self._events = events
        self.target_reached = False

    def scored(self, step: int, split: Split, metrics: Mapping[str, float]) -> None:
        """Report the metrics of a split."""
        # -1 stands for a metric without any object to compute it on and would distort a chart's axis.
        scalars = {name: value for name, value in metrics.items() if value >= 0}
        prefix = f"{split.name}/" if len(self._splits) > 1 else ""
        for monitor in self._monitors:
            monitor.add(step, {prefix + name: value for name, value in scalars.items()})
        shown = {name: scalars[name] for name in LOGGED_METRICS if name in scalars}
        log.info(Evaluation(step, split.name, len(split.records), shown).line())
        if split.name == self._splits[0].name and reaches_target(self._targets, metrics):
            self.target_reached = True

    def failed(self, step: int, split: Split, reason: str) -> None:
        """Report that a split could not be evaluated."""
        failure = EvaluationFailed(step, split.name, reason)
        log.error(failure.line())
        if self._events:
            text = f"The evaluation of {split.name} after step {step} failed: {reason}"
            self._events.add_summary(step, dashboard.text(f"evaluation_failed/{split.name}", text))
