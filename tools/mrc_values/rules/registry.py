"""What a rule is, and the list of all of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import getdoc

from mrc_cli.findings import RuleInfo, Severity, ValuePath, parse_dotted

from mrc_values.catalogue import NodeGroup
from mrc_values.values import Values


@dataclass(frozen=True)
class Problem:
    """What a rule says about one value. ``severity`` replaces the rule's own where a case is milder."""

    name: str
    message: str
    fix: str
    severity: Severity | None = None


@dataclass(frozen=True)
class Context:
    """What rules look at: the merged values, with the chart's catalogue.

    ``unusable`` are values that the schema refuses: of what follows from them a rule had better be silent.
    """

    values: Values
    unusable: frozenset[ValuePath] = frozenset()

    def refused(self, *names: str) -> bool:
        """Whether the schema refuses one of the values."""
        return any(parse_dotted(name) in self.unusable for name in names)

    @property
    def node_groups(self) -> Mapping[str, NodeGroup]:
        """The chart's node groups by name."""
        return self.values.catalogue.node_groups

    @property
    def node_group(self) -> NodeGroup | None:
        """The node group that the training job asks for, by its name or (an old way) its instance type."""
        if name := self.values.text("maskrcnn.node_group"):
            return self.node_groups.get(name)
        instance_type = self.values.text("maskrcnn.gpu_instance_type")
        groups = self.node_groups.values()
        return next((group for group in groups if group.instance_type == instance_type), None)


Check = Callable[[Context], Iterator[Problem]]


@dataclass(frozen=True)
class Rule(RuleInfo):
    """A rule over values files.

    ``check`` is None for what is found while reading, rendering or comparing with a schema.
    """

    check: Check | None = None


_RULES: dict[str, Rule] = {}


def rule(id: str, severity: Severity, title: str, *, failing: str, passing: str) -> Callable[[Check], Check]:
    """Registers a function as a rule; its docstring says why the rule exists."""

    def register(check: Check) -> Check:
        _add(Rule(id, severity, title, getdoc(check) or "", failing, passing, check))
        return check

    return register


def register_stage(id: str, severity: Severity, title: str, why: str, *, failing: str, passing: str) -> None:
    """Registers an id that a stage of validation reports, rather than a function over values."""
    _add(Rule(id, severity, title, why, failing, passing))


def registered() -> dict[str, Rule]:
    """The rules registered so far, by id."""
    return dict(sorted(_RULES.items()))


def _add(rule: Rule) -> None:
    if rule.id in _RULES:
        raise ValueError(f"two rules are called {rule.id}")
    _RULES[rule.id] = rule
