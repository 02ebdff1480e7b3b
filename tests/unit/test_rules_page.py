"""docs/rules.md, the reference of all rules, against the registered rules."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from mrc_values.rules import CLUSTER_RULES, RULES, Rule

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text()
SECTIONS = dict(re.findall(r"^### (MRC\d+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_is_up_to_date() -> None:
    command: list[str | Path] = [sys.executable, ROOT / "packaging" / "rules_page.py", "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_every_rule_has_a_section_and_a_row_in_the_table() -> None:
    assert set(SECTIONS) == set(RULES | CLUSTER_RULES)
    table = PAGE.partition("\n## ")[0]
    assert sorted(re.findall(r"\[(MRC\d+)\]", table)) == sorted(RULES | CLUSTER_RULES)


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, id=rule.id) for rule in (RULES | CLUSTER_RULES).values()]
)
def test_a_section_has_severity_title_reason_and_examples(rule: Rule) -> None:
    words = " ".join(SECTIONS[rule.id].split())
    for part in (f"{rule.severity}: {rule.title}", rule.why, rule.failing, rule.passing):
        assert " ".join(part.split()) in words


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.id) for rule in RULES.values()])
def test_every_message_of_a_section_explains_the_fix(rule: Rule) -> None:
    """A message about the failing example has at least two sentences: the problem and the fix."""
    messages = re.findall(r"^> (.*)$", SECTIONS[rule.id], re.MULTILINE)
    assert messages
    assert all(len(re.findall(r"[.?](?: |$)", message)) >= 2 for message in messages), messages


def test_there_are_more_than_forty_rules_about_values() -> None:
    assert len(RULES) > 40
