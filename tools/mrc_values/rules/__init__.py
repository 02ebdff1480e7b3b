"""Every rule, each with an id that never changes its meaning."""

from mrc_values.rules import cluster, data, gpus, images, limits, stages, storage, trainer, traps
from mrc_values.rules.registry import Context, Problem, Rule, registered

RULES: dict[str, Rule] = registered()
"""All rules by id."""

__all__ = [
    "RULES",
    "Context",
    "Problem",
    "Rule",
    "cluster",
    "data",
    "gpus",
    "images",
    "limits",
    "stages",
    "storage",
    "trainer",
    "traps",
]
