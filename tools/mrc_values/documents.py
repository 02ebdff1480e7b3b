"""A values file, parsed as Helm parses it, with the position of every value.

The values come from Helm's own YAML parser and the positions from PyYAML's nodes. Files that would take too
much time or memory are rejected before either parser expands them.
"""

import codecs
import functools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from mrc_cli.errors import UsageError
from mrc_cli.findings import Finding, Position, Severity, ValuePath

from mrc_values import helm

STDIN = Path("-")
"""Stands for stdin in place of a file, as for Helm."""

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 10_000
"""Keys and values of a file, with every alias expanded."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_BOOL = "tag:yaml.org,2002:bool"
_PLAIN = (None, "")  # the style of a node without quotes, in PyYAML's Python and C parsers
_TRUE = ("y", "yes", "true", "on")
_NO_NUMBER = (".nan", ".inf", "+.inf", "-.inf")
_NOT_YAML = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass
class Document:
    """The values of one source: a file or a flag such as ``--set``.

    Attributes:
        positions: the position of each value.
        keys: the position of each key.
        texts: the original text of values without quotes, which YAML may have converted.
    """

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    positions: dict[ValuePath, Position] = field(default_factory=dict)
    keys: dict[ValuePath, Position] = field(default_factory=dict)
    texts: dict[ValuePath, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    is_file: bool = True

    def nearest(self, path: ValuePath) -> Position:
        """Where a missing value could be added: its innermost existing section, else the first line."""
        sections = (path[:length] for length in range(len(path) - 1, 0, -1))
        return next(
            (self.keys[section] for section in sections if section in self.keys), Position(self.source, 1, 1)
        )


class _Unreadable(Exception):
    def __init__(self, message: str, fix: str, at: tuple[int, int] = (1, 1)) -> None:
        super().__init__(message)
        self.message, self.fix, self.at = message, fix, at


def read_file(path: Path) -> Document:
    """The values of a file; errors in its YAML are in the document's findings.

    Raises UsageError when the file does not exist or cannot be read.
    """
    try:
        if path == STDIN:
            data = stdin()
        else:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    if len(data) > MAX_BYTES:
        problem = _Unreadable(f"the file has more than {MAX_BYTES:,} bytes.", "Is it a values file?")
        return Document(str(path), findings=[_finding(str(path), problem)])
    return read_text(data, str(path))


@functools.cache
def stdin() -> bytes:
    """The values on stdin. They are read once, however often a command needs them."""
    return sys.stdin.buffer.read(MAX_BYTES + 1)


def read_text(data: bytes, source: str) -> Document:
    """The values in ``data``; findings refer to it as ``source``."""
    document = Document(source)
    try:
        text = _decoded(data)
        root = _composed(text)
        if root is None:
            return document
        if not isinstance(root, yaml.MappingNode):
            if root.tag == _NULL:
                return document
            raise _Unreadable(
                f"the file contains {_kind(root)}, not a mapping.",
                "Write it as `key: value` lines.",
                _location(root),
            )
        _PositionRecorder(document).record(root)
        document.values = helm.parse_values(text)
    except _Unreadable as problem:
        document.findings.append(_finding(source, problem))
    except helm.ValuesError as error:
        document.findings.append(_finding(source, _Unreadable(f"{error}.", "Write it as plain YAML.")))
    return document


def _finding(source: str, problem: _Unreadable) -> Finding:
    position = Position(source, *problem.at)
    return Finding(position, Severity.ERROR, "MRC001", (), problem.message, problem.fix)


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _Unreadable("the file is UTF-16.", "Save it as UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise _Unreadable(
            f"byte 0x{data[error.start]:02x} is not UTF-8.", "Save the file as UTF-8.", (line, column)
        ) from None
    text = text.replace("\r\n", "\n")
    if odd := _NOT_YAML.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        column = odd.start() - text.rfind("\n", 0, odd.start())
        raise _Unreadable(
            f"the control character 0x{ord(odd[0]):02x} is not allowed in YAML.",
            "Save the file as plain text.",
            (line, column),
        )
    return text


def _composed(text: str) -> yaml.Node | None:
    """The document's node tree. Its depth and size are checked on the event stream first."""
    try:
        depth = documents = nodes = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            documents += isinstance(event, yaml.DocumentStartEvent)
            nodes += isinstance(event, yaml.NodeEvent)
            if depth > MAX_DEPTH:
                raise _Unreadable(
                    f"values are nested more than {MAX_DEPTH} levels deep.",
                    "Is it a values file?",
                    _location(event),
                )
            if documents > 1:
                raise _Unreadable(
                    "a second YAML document starts here, and Helm would ignore it.",
                    "Put it into a separate file.",
                    _location(event),
                )
            if nodes > MAX_NODES:
                raise _Unreadable(f"the file has more than {MAX_NODES:,} values.", "Is it a values file?")
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
        return node
    except yaml.MarkedYAMLError as error:
        if conflict := re.search(r"^<{7} ", text, re.MULTILINE):
            line = text.count("\n", 0, conflict.start()) + 1
            raise _Unreadable(
                "this is an unresolved merge conflict.", "Keep one of its sides.", (line, 1)
            ) from None
        mark = error.problem_mark or error.context_mark
        if mark and error.context_mark and mark.line >= len(text.rstrip().splitlines()):
            mark = error.context_mark  # the start of what is not closed, rather than the end of the file
        message = " ".join(part for part in (error.problem, error.context) if part)
        at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _Unreadable(f"not YAML: {message}.", _yaml_hint(error, text), at) from None


_NO_TEMPLATE = "Helm does not expand {{ }} in a values file. Write the value itself."


def _yaml_hint(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "{{" in line or "{%" in line:
        return _NO_TEMPLATE
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "Indent with spaces, not tabs."
    if "alias" in (error.problem or ""):
        return "Define the anchor (&name) above its first use (*name)."
    return "Check indentation, quotes and brackets here and on the line above."


def _location(part: yaml.Node | yaml.Event) -> tuple[int, int]:
    """Line and column, from 1, where a node or event starts."""
    mark = part.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "null" if node.tag == _NULL else "a single value"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


class _PositionRecorder:
    """Records the position of every value of a node tree in a document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0
        self.depth = 0
        self.bytes = 0

    def record(self, root: yaml.Node) -> None:
        self._value((), root)

    def _at(self, node: yaml.Node) -> Position:
        return Position(self.document.source, *_location(node))

    def _value(self, path: ValuePath, node: yaml.Node) -> None:
        self._enter()
        self.document.positions[path] = self._at(node)
        if isinstance(node, yaml.MappingNode):
            self._duplicates(path, node)
            for name, key, value in self._entries(node):
                self.document.keys[(*path, name)] = self._at(key)
                self._value((*path, name), value)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._value((*path, index), item)
        elif isinstance(node, yaml.ScalarNode):
            self._scalar(path, node)
        self.depth -= 1

    def _scalar(self, path: ValuePath, node: yaml.ScalarNode) -> None:
        self.bytes += len(node.value)
        if self.bytes > 2 * MAX_BYTES:
            raise _Unreadable(
                f"its aliases expand to more than {2 * MAX_BYTES:,} bytes.",
                "Write the values without aliases.",
            )
        if node.style in _PLAIN:
            self.document.texts[path] = node.value
            if node.value.lower() in _NO_NUMBER:
                raise _Unreadable(
                    f"{node.value} is not a number in Helm.", "Write a number.", _location(node)
                )

    def _entries(self, node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Names, keys and values; those of merge keys (<<) come first, because other keys take precedence
        over them."""
        self._enter()
        for key, value in node.value:
            if key.tag == _MERGE:
                # Of several merged mappings the first takes precedence.
                merged = reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]
                for mapping in merged:
                    if not isinstance(mapping, yaml.MappingNode):
                        raise _Unreadable(
                            f"<< merges a mapping, but this is {_kind(mapping)}.",
                            "Refer to an anchor: <<: *name.",
                            _location(mapping),
                        )
                    yield from self._entries(mapping)
        self.depth -= 1
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _NULL:
                # {{ .Values.name }} is parsed as a mapping.
                fix = (
                    _NO_TEMPLATE if isinstance(key, yaml.MappingNode) else "Write a string before the colon."
                )
                raise _Unreadable(f"the key is {_kind(key)}.", fix, _location(key))
            if key.tag != _MERGE:
                yield _name(key), key, value

    def _enter(self) -> None:
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES or self.depth > MAX_DEPTH:
            raise _Unreadable(
                f"its aliases expand to more than {MAX_NODES:,} values or {MAX_DEPTH} levels.",
                "Write the values without aliases.",
            )

    def _duplicates(self, path: ValuePath, node: yaml.MappingNode) -> None:
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = _name(key)
            if name in first and key.tag != _MERGE:
                line = first[name].start_mark.line + 1
                self.document.findings.append(
                    Finding(
                        self._at(key),
                        Severity.ERROR,
                        "MRC002",
                        (*path, name),
                        f"duplicate key, first defined on line {line}; Helm would use the last one.",
                        "Keep one of the two.",
                    )
                )
            first.setdefault(name, key)


def _name(key: yaml.ScalarNode) -> str:
    """The name of a key in Helm's parser, which converts booleans."""
    if key.tag == _BOOL or (key.style in _PLAIN and key.value in ("y", "n")):
        return "true" if key.value.lower() in _TRUE else "false"
    return str(key.value)
