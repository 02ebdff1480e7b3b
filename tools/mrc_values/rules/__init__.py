"""Every rule, each with an id that never changes its meaning."""

from mrc_cli.reports import Tool

from mrc_values.rules import cluster, data, gpus, images, limits, stages, storage, trainer, traps
from mrc_values.rules.registry import Context, Problem, Rule, registered

RULES: dict[str, Rule] = registered()
"""All rules by id."""

TOOL = Tool("mrc-values", RULES)
"""What reports say about this program."""

__all__ = [
    "RULES",
    "TOOL",
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
