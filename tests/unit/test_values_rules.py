"""Every rule against its own examples."""

from pathlib import Path

import pytest
from mrc_cli.findings import Severity
from mrc_values.rules import RULES, Rule
from values_files import BASES, checked, rule_ids

ALL = [pytest.param(rule, id=rule.id) for rule in RULES.values()]


@pytest.mark.parametrize("rule", ALL)
def test_a_rule_finds_its_failing_example(rule: Rule, tmp_path: Path) -> None:
    result = checked(tmp_path, rule.failing, base=BASES[rule.chart], chart=rule.chart)
    assert rule.id in rule_ids(result, rule.severity)


@pytest.mark.parametrize("rule", ALL)
def test_the_passing_example_of_a_rule_has_no_error(rule: Rule, tmp_path: Path) -> None:
    result = checked(tmp_path, rule.passing, base=BASES[rule.chart], chart=rule.chart)
    assert rule.id not in rule_ids(result)
    assert rule_ids(result, Severity.ERROR) == set()


@pytest.mark.parametrize("rule", ALL)
def test_a_rule_has_a_reason(rule: Rule) -> None:
    assert rule.why.endswith(".") and len(rule.why) > 60
    assert not rule.title.endswith(".")


def test_rules_run_on_values_of_every_wrong_type(tmp_path: Path) -> None:
    """Rules check only values that the schema accepts; the schema check reports the others."""
    names = (
        "gpus",
        "gpus_per_node",
        "gpu_nodes",
        "image",
        "node_group",
        "env",
        "extra_config",
        "lr_schedule",
        "memory",
    )
    for wrong in ("[1]", "{a: 1}", "true", "'text'", "-1", "1.5", "null"):
        section = ", ".join(f"{name}: {wrong}" for name in names)
        result = checked(tmp_path, f"maskrcnn: {{{section}}}")
        assert result.failing
