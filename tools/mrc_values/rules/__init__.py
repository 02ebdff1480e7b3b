"""Every rule, each with an id that never changes its meaning.

A rule is a function in a module of this package, registered by the decorator ``registry.rule``. All modules
are imported here, so a new rule or a new module of rules needs no entry in any list.
"""

import pkgutil
from importlib import import_module

from mrc_cli.reports import Tool

from mrc_values.rules.registry import Context, Rule, Violation, registered

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

RULES: dict[str, Rule] = {id: rule for id, rule in registered().items() if not rule.needs_cluster}
"""The rules about values, by id."""

CLUSTER_RULES: dict[str, Rule] = {id: rule for id, rule in registered().items() if rule.needs_cluster}
"""The rules that the preflight of an install checks in the cluster, by id."""

TOOL = Tool("mrc-values", registered())
"""The program as reports name it."""

__all__ = ["CLUSTER_RULES", "RULES", "TOOL", "Context", "Rule", "Violation"]
