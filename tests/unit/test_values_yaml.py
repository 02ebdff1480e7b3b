"""Files that are not values files, with one line for each. test_values_fuzz.py limits time and memory."""

from pathlib import Path

import pytest
from values_files import checked, lines

LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
MERGES = "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))
TOO_MANY = "its aliases expand to more than 10,000 values or 50 levels. Write the values without aliases."
CHECK = "Check indentation, quotes and brackets here and on the line above."

UNREADABLE: dict[str, tuple[str | bytes, str, str]] = {
    "a list": (
        "- a: 1\n",
        "1:1",
        "the file contains a list, not a mapping. Write it as `key: value` lines.",
    ),
    "one word": (
        "maskrcnn\n",
        "1:1",
        "the file contains a single value, not a mapping. Write it as `key: value` lines.",
    ),
    "unclosed quote": (
        "a: 1\nb: 'x\n",
        "2:4",
        f"not YAML: found unexpected end of stream while scanning a quoted scalar. {CHECK}",
    ),
    "two values on a line": (
        "a: b: c\n",
        "1:5",
        f"not YAML: mapping values are not allowed in this context. {CHECK}",
    ),
    "unknown alias": (
        "a: *b\n",
        "1:4",
        "not YAML: found undefined alias. Define the anchor (&name) above its first use (*name).",
    ),
    "two documents": (
        "a: 1\n---\nb: 1\n",
        "2:1",
        "a second YAML document starts here, and Helm would ignore it. Put it into a separate file.",
    ),
    "infinity": ("a: .inf\n", "1:4", ".inf is not a number in Helm. Write a number."),
    "Latin-1": (b"a: 1\nb: caf\xe9\n", "2:7", "byte 0xe9 is not UTF-8. Save the file as UTF-8."),
    "binary": (bytes(range(256)), "2:118", "byte 0x80 is not UTF-8. Save the file as UTF-8."),
    "NUL": (
        b"a: \0\n",
        "1:4",
        "the control character 0x00 is not allowed in YAML. Save the file as plain text.",
    ),
    "a large file": (
        "a: 1\n" * 200_001,
        "1:1",
        "the file has more than 1,000,000 bytes. Is it a values file?",
    ),
    "many values": (
        "a: [" + "1," * 200_000 + "]",
        "1:1",
        "the file has more than 10,000 values. Is it a values file?",
    ),
    "deep nesting": (
        "a: " + "[" * 400_000,
        "1:53",
        "values are nested more than 50 levels deep. Is it a values file?",
    ),
    "deep indentation": (
        "".join(" " * n + "a:\n" for n in range(60)),
        "51:51",
        "values are nested more than 50 levels deep. Is it a values file?",
    ),
    "a billion laughs": (f"a0: &a0 [1, 1, 1]\n{LAUGHS}", "1:1", TOO_MANY),
    "a billion merges": (f"a0: &a0 {{}}\n{MERGES}", "1:1", TOO_MANY),
    "an alias of a long string": (
        f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 100)}]\n",
        "1:1",
        "its aliases expand to more than 2,000,000 bytes. Write the values without aliases.",
    ),
    "UTF-16": ("maskrcnn:\n".encode("utf-16"), "1:1", "the file is UTF-16. Save it as UTF-8."),
    "a merge conflict": (
        "a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> theirs\n",
        "2:1",
        "this is an unresolved merge conflict. Keep one of its sides.",
    ),
    "a template": (
        "a: {{ .Values.a }}\n",
        "1:5",
        "the key is a mapping. Helm does not expand {{ }} in a values file. Write the value itself.",
    ),
    "a list as a key": (
        "[a]: 1\n",
        "1:1",
        "the key is a list. Write a string before the colon.",
    ),
    "a string to merge": (
        "a:\n  <<: b\n",
        "2:7",
        "<< merges a mapping, but this is a single value. Refer to an anchor: <<: *name.",
    ),
    "an alias of itself": ("a: &a [*a]\n", "1:1", TOO_MANY),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_file_gives_one_line(name: str, tmp_path: Path) -> None:
    text, place, message = UNREADABLE[name]
    assert lines(checked(tmp_path, text)) == [f"values.yaml:{place}: error MRC001: {message}"]


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "null\n", "---\n", "\ufeffmaskrcnn: {gpus: 16}\n", "maskrcnn:\r\n  gpus: 16\r\n"],
    ids=["empty", "comment", "null", "empty document", "byte order mark", "CRLF"],
)
def test_what_helm_reads_without_complaint_has_no_findings(text: str, tmp_path: Path) -> None:
    assert lines(checked(tmp_path, text)) == []


def test_windows_line_endings_do_not_shift_positions(tmp_path: Path) -> None:
    result = checked(tmp_path, b"maskrcnn:\r\n  name: coco\r\n  gpus: 20\r\n")
    assert [(f.position.line, f.position.column) for f in result.findings] == [(3, 9)]


def test_keys_that_yaml_reads_as_booleans_are_named_as_in_helm(tmp_path: Path) -> None:
    assert lines(checked(tmp_path, "maskrcnn:\n  gpus: 16\n  on: 1\n"))[0].startswith(
        "values.yaml:3:3: error MRC003 maskrcnn.true: unknown key in maskrcnn."
    )
