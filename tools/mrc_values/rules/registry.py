"""The definition of a rule, and the registry that holds all of them."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import getdoc

from mrc_cli.findings import RuleInfo, Severity, ValuePath, parse_dotted

from mrc_values.catalogue import NodeGroup
from mrc_values.values import Values


@dataclass(frozen=True)
class Violation:
    """A value that breaks a rule.

    Attributes:
        name: the value's dotted name, such as ``maskrcnn.gpus``.
        severity: replaces the rule's severity in a case that is more or less serious than usual.
    """

    name: str
    message: str
    fix: str
    severity: Severity | None = None


@dataclass(frozen=True)
class Context:
    """The input of a rule: the merged values, with the catalogue of the chart.

    ``unusable`` holds the paths of values that the schema rejects. A rule does not draw conclusions from
    those.
    """

    values: Values
    unusable: frozenset[ValuePath] = frozenset()

    def rejected(self, *names: str) -> bool:
        """Whether the schema rejects one of the values."""
        return any(parse_dotted(name) in self.unusable for name in names)

    @property
    def node_groups(self) -> Mapping[str, NodeGroup]:
        """The chart's node groups by name."""
        return self.values.catalogue.node_groups

    @property
    def node_group(self) -> NodeGroup | None:
        """The node group of the training job, given by its name or (deprecated) by its instance type."""
        if name := self.values.text("maskrcnn.node_group"):
            return self.node_groups.get(name)
        instance_type = self.values.text("maskrcnn.gpu_instance_type")
        groups = self.node_groups.values()
        return next((group for group in groups if group.instance_type == instance_type), None)


Check = Callable[[Context], Iterator[Violation]]


@dataclass(frozen=True)
class Rule(RuleInfo):
    """A rule that validation or the preflight can report.

    Attributes:
        topic: the subject of the module that defines the rule, a heading in the documentation.
        check: finds the violations; None for a rule that another stage reports, such as parsing or rendering.
        needs_cluster: whether the preflight reports it, from the state of a cluster.
        chart: the chart that the examples are values of.
    """

    topic: str
    check: Check | None = None
    needs_cluster: bool = False
    chart: str = "maskrcnn"


_RULES: dict[str, Rule] = {}


def rule(
    id: str, severity: Severity, title: str, *, failing: str, passing: str, chart: str = "maskrcnn"
) -> Callable[[Check], Check]:
    """Register a function as a rule; its docstring explains why the rule exists."""

    def decorate(check: Check) -> Check:
        topic = _topic(check.__module__)
        why = getdoc(check) or ""
        register(Rule(id, severity, title, why, failing, passing, topic, check, chart=chart))
        return check

    return decorate


def declare(
    module: str,
    id: str,
    severity: Severity,
    title: str,
    why: str,
    *,
    failing: str,
    passing: str,
    needs_cluster: bool = False,
) -> None:
    """Register a rule of ``module`` (its ``__name__``) that is reported elsewhere, not by a function."""
    topic = _topic(module)
    register(Rule(id, severity, title, why, failing, passing, topic, needs_cluster=needs_cluster))


def register(rule: Rule) -> None:
    """Add a rule. Raises ValueError when its id is taken."""
    if rule.id in _RULES:
        raise ValueError(f"two rules have the id {rule.id}")
    _RULES[rule.id] = rule


def registered() -> dict[str, Rule]:
    """The rules registered so far, by id."""
    return dict(sorted(_RULES.items()))


def _topic(module: str) -> str:
    """The first line of a module's docstring, without its full stop."""
    return (sys.modules[module].__doc__ or "").partition("\n")[0].rstrip(".")
