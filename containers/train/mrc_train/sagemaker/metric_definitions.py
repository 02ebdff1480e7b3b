"""Regular expressions with which SageMaker finds metrics in the log, made from the trainer's own lines."""

import re

from mrc_train.run_lines import Evaluation, Progress

_PROGRESS = Progress(1, 2, 1, 2, 0.5, 1.5, 60)
_METRICS = ("bbox/AP", "bbox/AP50", "segm/AP", "segm/AP50")
_EVALUATION = Evaluation(1, "val", 1, dict.fromkeys(_METRICS, 0.5))

_NUMBER = "([0-9.]+)"


def metric_definitions() -> list[dict[str, str]]:
    """MetricDefinitions of CreateTrainingJob: ``train:loss``, ``validation:bbox/AP`` and so on."""
    return [
        *(_definition("train", name, _PROGRESS.line()) for name in ("step", "loss", "images_per_second")),
        *(_definition("validation", name, _EVALUATION.line()) for name in _METRICS),
    ]


def _definition(prefix: str, field: str, line: str) -> dict[str, str]:
    """The expression for one field of a line; the test applies it to lines that the trainer writes."""
    keyword = line.partition(" ")[0]
    if not re.search(rf" {re.escape(field)}=", line):
        raise ValueError(f"{keyword} lines have no field {field}")
    return {"Name": f"{prefix}:{field}", "Regex": f"{keyword} .*{field}={_NUMBER}"}
