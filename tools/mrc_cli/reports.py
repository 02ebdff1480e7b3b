"""How findings are shown: text for people; JSON, SARIF and GitHub's annotations for programs."""

import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mrc_cli.findings import Finding, RuleInfo, Severity, dotted

_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_SARIF_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_GITHUB_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_MAX_SNIPPET = 300
"""A longer line of a file is left out of SARIF, in characters."""
_MAX_FILE = 1 << 20
"""Larger files are not read for snippets, in bytes."""


@dataclass(frozen=True)
class Tool:
    """The program that reports findings, with all its rules by id."""

    name: str
    rules: Mapping[str, RuleInfo]


def explanation(rule: RuleInfo) -> str:
    """Why a rule exists, with an example that fails and one that passes."""
    why = "\n".join(textwrap.wrap(" ".join(rule.why.split()), 88))
    parts = [f"{rule.id} ({rule.severity}): {rule.title}", why]
    for title, example in (("Fails", rule.failing), ("Passes", rule.passing)):
        parts.append(f"{title}:\n{textwrap.indent(example, '  ')}")
    return "\n\n".join(parts)


def text(findings: Sequence[Finding], _: Tool | None = None) -> str:
    """One line for each finding."""
    return "\n".join(map(str, findings))


def as_json(findings: Sequence[Finding], _: Tool | None = None) -> str:
    """A list of objects; ``line`` and ``column`` count from 1 and are null for a ``--set`` flag."""
    return json.dumps(
        [
            {
                "file": finding.position.file,
                "line": finding.position.line or None,
                "column": finding.position.column or None,
                "severity": finding.severity.value,
                "rule": finding.rule,
                "value": dotted(finding.path) or None,
                "message": finding.message,
                "fix": finding.fix or None,
            }
            for finding in findings
        ],
        indent=2,
        ensure_ascii=False,
    )


def as_sarif(findings: Sequence[Finding], tool: Tool) -> str:
    """A log of SARIF 2.1.0 with one run, as GitHub's code scanning and editors read it."""
    used = sorted({finding.rule for finding in findings})
    rules = [
        {
            "id": id,
            "name": tool.rules[id].title,
            "shortDescription": {"text": tool.rules[id].title},
            "fullDescription": {"text": " ".join(tool.rules[id].why.split())},
            "help": {"text": _help(tool.rules[id], tool.name)},
            "defaultConfiguration": {"level": _SARIF_LEVELS[tool.rules[id].severity]},
        }
        for id in used
    ]
    files = {file: _lines(file) for file in {finding.position.file for finding in findings}}
    run = {
        "tool": {"driver": {"name": tool.name, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [
            _sarif_result(finding, used.index(finding.rule), files[finding.position.file])
            for finding in findings
        ],
    }
    log = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False)


def _help(rule: RuleInfo, tool_name: str) -> str:
    examples = f"Fails:\n{rule.failing}\n\nPasses:\n{rule.passing}"
    return f"{' '.join(rule.why.split())}\n\n{examples}\n\n{tool_name} explain {rule.id}"


def _lines(file: str) -> list[str]:
    """A file's lines as YAML counts them; none where there is no such text, as for a flag or a pipe."""
    path = Path(file)
    try:
        if not path.is_file() or path.stat().st_size > _MAX_FILE:
            return []
        return re.split("[\n\x85\u2028\u2029]", path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return []


def _sarif_result(finding: Finding, index: int, lines: Sequence[str]) -> dict[str, Any]:
    position = finding.position
    location: dict[str, Any] = {}
    words = f"{finding.message} {finding.fix}".strip()
    if finding.path:
        location["logicalLocations"] = [{"fullyQualifiedName": dotted(finding.path), "kind": "member"}]
    if position.line:
        region = {"startLine": position.line, "startColumn": max(position.column, 1)}
        place = {"artifactLocation": {"uri": quote(position.file)}, "region": region}
        if position.line <= len(lines) and len(line := lines[position.line - 1]) <= _MAX_SNIPPET:
            place["contextRegion"] = {"startLine": position.line, "snippet": {"text": line}}
        location["physicalLocation"] = place
    elif position.file.startswith("--"):
        words = f"{position.file}: {words}"  # a flag has no place in a file
    else:
        location["physicalLocation"] = {"artifactLocation": {"uri": quote(position.file)}}
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": " ".join(words.split())},
        "locations": [location] if location else [],
    }


def as_github(findings: Sequence[Finding], _: Tool | None = None) -> str:
    """Workflow commands, which GitHub Actions shows at the lines of a pull request."""
    return "\n".join(map(_github_line, findings))


def _github_line(finding: Finding) -> str:
    position = finding.position
    properties = {"title": f"{finding.rule} {dotted(finding.path)}".strip()}
    words = f"{finding.message} {finding.fix}".strip()
    if position.line:
        properties |= {"file": position.file, "line": str(position.line), "col": str(position.column)}
    else:
        words = f"{position.file}: {words}"
    listed = ",".join(
        f"{name}={_escaped(value).replace(':', '%3A').replace(',', '%2C')}"
        for name, value in properties.items()
    )
    return f"::{_GITHUB_LEVELS[finding.severity]} {listed}::{_escaped(words)}"


def _escaped(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


FORMATS: dict[str, Callable[[Sequence[Finding], Tool], str]] = {
    "text": text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
}


def summary(findings: Sequence[Finding]) -> str:
    """``3 errors, 1 warning``, or ``fine``."""
    counts = Counter(finding.severity for finding in findings)
    parts = [_count(counts[severity], severity) for severity in Severity if counts[severity]]
    return ", ".join(parts) or "fine"


def _count(number: int, severity: Severity) -> str:
    plural = "" if number == 1 else "s"
    return f"{number} {severity}{plural}"
