"""docs/waiting.md against the reasons that the code can give."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "waiting.md").read_text()
WORD = re.compile(r"[a-z]+(-[a-z]+)+")

NO_REASONS = {"current-context", "maskrcnn-optimized", "ephemeral-storage", "vpc-id"}
"""Words with a hyphen in the code that are not reasons."""


def texts() -> set[str]:
    """Every string in the code of mrc_values.cluster."""
    files = (ROOT / "tools" / "mrc_values" / "cluster").glob("*.py")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def reasons_made() -> set[str]:
    """All reasons. One of a single word is recognized only where a Reason or Cause is constructed."""
    reasons = {text for text in texts() if WORD.fullmatch(text)} - NO_REASONS
    for file in (ROOT / "tools" / "mrc_values" / "cluster").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Reason" | "Cause"), args=[ast.Constant(str(reason)), *_]):
                    reasons.add(reason)
    return reasons


def reasons_on_the_page() -> set[str]:
    rows = re.findall(r"^\| (`[^|]*) \|", PAGE, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}


def test_every_reason_is_on_the_page() -> None:
    assert len(reasons_made()) > 60
    assert reasons_made() - reasons_on_the_page() == set()


def test_the_page_has_no_reason_that_the_code_never_gives() -> None:
    assert reasons_on_the_page() - texts() == set()
