"""Whether a run has reached the metrics at which its settings end it."""

from collections.abc import Mapping

from mrc_train.config import Test


def reaches_target(test: Test, metrics: Mapping[str, float]) -> bool:
    """Whether metrics of the first split reach TEST.BOX_TARGET and TEST.MASK_TARGET in TEST.TARGET_METRIC.

    False when no target is set.
    """
    metric = test.TARGET_METRIC
    targets = {f"bbox/{metric}": test.BOX_TARGET, f"segm/{metric}": test.MASK_TARGET}
    wanted = {name: target for name, target in targets.items() if target is not None}
    return bool(wanted) and all(metrics.get(name, -1) >= target for name, target in wanted.items())
