"""Editing YAML files with comments, order, quotes and indentation kept."""

import re
from io import StringIO
from typing import Any

import yaml as pyyaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString


class YamlFile:
    """The content of a YAML file, to be edited through ``root`` and written by ``text()``.

    ``root`` is the mapping of the file; an empty one for a file without values.
    """

    def __init__(self, text: str) -> None:
        self._original = text
        self._has_crlf = "\r\n" in text
        self.indent = _mapping_indent(text)
        offset = _sequence_offset(text)
        self._yaml = YAML()
        self._yaml.preserve_quotes = True
        self._yaml.width = 10_000
        self._yaml.indent(mapping=self.indent, sequence=offset + 2, offset=offset)
        self._yaml.representer.add_representer(type(None), _represent_null)
        root = self._yaml.load(text)
        self._is_empty = root is None
        self.root: Any = CommentedMap() if root is None else root

    def text(self) -> str:
        """The edited file, with the line ends of the original."""
        stream = StringIO()
        self._yaml.dump(self.root, stream)
        text = stream.getvalue()
        if self._is_empty:
            text = self._original + text  # a file of comments only, which no value holds
        text = text if text.endswith("\n") else f"{text}\n"
        return text.replace("\n", "\r\n") if self._has_crlf else text


def string(value: str) -> str:
    """A string that every YAML parser reads as one: ``on``, ``y``, ``1e3`` and the empty string get
    quotes."""
    is_plain = len(value) > 1 and value[0].isalpha() and pyyaml.safe_load(value) == value
    return value if is_plain else DoubleQuotedScalarString(value)


def _mapping_indent(text: str) -> int:
    """Spaces before the keys of a section."""
    match = re.search(r"^( +)[^\s#-]", text, re.MULTILINE)
    return len(match[1]) if match else 2


def _sequence_offset(text: str) -> int:
    """Spaces before the dashes of a list, relative to its key."""
    match = re.search(r"^( *)[^\s#-][^\n]*:[ \t]*\n( *)- ", text, re.MULTILINE)
    return max(len(match[2]) - len(match[1]), 0) if match else 2


def _represent_null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
