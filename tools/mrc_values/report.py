"""How findings are shown: text for people, JSON for programs."""

import json
from collections import Counter
from collections.abc import Callable, Sequence

from mrc_values.findings import Finding, Severity, dotted


def text(findings: Sequence[Finding]) -> str:
    """One line each."""
    return "\n".join(map(str, findings))


def as_json(findings: Sequence[Finding]) -> str:
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


FORMATS: dict[str, Callable[[Sequence[Finding]], str]] = {"text": text, "json": as_json}


def summary(findings: Sequence[Finding]) -> str:
    """``3 errors, 1 warning``, or ``fine``."""
    counts = Counter(finding.severity for finding in findings)
    parts = [_count(counts[severity], severity) for severity in Severity if counts[severity]]
    return ", ".join(parts) or "fine"


def _count(number: int, severity: Severity) -> str:
    plural = "" if number == 1 else "s"
    return f"{number} {severity}{plural}"
