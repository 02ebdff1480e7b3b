"""What the checks find, and where."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

ValuePath = tuple[str | int, ...]
"""Where a value stands in the values, such as ``("maskrcnn", "env", 0)``."""


class Severity(StrEnum):
    """Only an ERROR makes a command fail."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, order=True)
class Position:
    """A place in a file, counted from 1; line 0 where there is none, as in a ``--set`` flag."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or doubtful.

    Attributes:
        path: the value; empty where no single one is meant.
        meant: the value that a misspelt name seems to stand for.
    """

    position: Position
    severity: Severity
    rule: str
    path: ValuePath
    message: str
    fix: str
    meant: ValuePath | None = None

    def __str__(self) -> str:
        subject = f"{self.rule} {dotted(self.path)}" if self.path else self.rule
        text = f"{self.position}: {self.severity} {subject}: {self.message} {self.fix}".rstrip()
        return " ".join(text.split())


@dataclass(frozen=True)
class RuleInfo:
    """What reports say about a rule; ``failing`` and ``passing`` are examples of input that show it."""

    id: str
    severity: Severity
    title: str
    why: str
    failing: str
    passing: str


def dotted(path: ValuePath) -> str:
    """``("maskrcnn", "env", 0)`` as users write it: ``maskrcnn.env[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def parse_dotted(text: str) -> ValuePath:
    """The path that ``dotted`` wrote; names with dots or brackets of their own are not told apart."""
    return tuple(int(index) if index else name for index, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", text))


def shortened(text: str) -> str:
    """A sentence with its middle left out where a value makes it far too long for a line."""
    return text if len(text) <= 400 else f"{text[:200]} ... {text[-190:]}"


def sort(findings: Iterable[Finding]) -> list[Finding]:
    """In reading order: by file, line and column, then by rule; each text once."""
    unique = {str(finding): finding for finding in findings}
    return sorted(unique.values(), key=lambda finding: (finding.position, finding.rule, finding.message))


def failing(findings: Iterable[Finding]) -> bool:
    """Whether any finding is an error."""
    return any(finding.severity is Severity.ERROR for finding in findings)
