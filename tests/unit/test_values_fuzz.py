"""The whole program, with limited memory, on files made to break it.

``MRC_FUZZ_FILES=2000 pytest tests/unit/test_values_fuzz.py -k damaged`` searches longer, with another seed
each time.
"""

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mrc_cli.errors import UsageError
from mrc_values.documents import read_file
from mutations import DIRECTORY
from values_files import CHART

COMPLETE = (DIRECTORY / "maskrcnn.yaml").read_bytes()
MEMORY = 512 << 20
"""Bytes that the program may allocate for all files in sequence; without any file it needs 100 MB."""
SECONDS = 300
"""Timeout for all files of the tests that always run."""

FUZZ_FILES = int(os.environ.get("MRC_FUZZ_FILES", 0))

FINDING = re.compile(
    r"(?P<file>values\.yaml:\d+:\d+|--set \S+): (error|warning|info) MRC\d{3}( .+?)?: .*[.?]"
)
UNKNOWN_KEY = "unknown key in maskrcnn."

HOSTILE: dict[str, tuple[bytes, int, str]] = {
    # name: (content, exit code, text of the first error)
    "empty": (b"", 0, ""),
    "a comment": (b"# nothing\n" * 50_000, 0, ""),
    "CRLF": (b"maskrcnn:\r\n  gpus: 20\r\n", 1, "values.yaml:2:9: error MRC014 maskrcnn.gpus"),
    "a byte order mark": (b"\xef\xbb\xbfmaskrcnn:\n  gpus: 20\n", 1, "values.yaml:2:9: error MRC014"),
    "NUL": (b"maskrcnn:\n  name: a\0b\n", 1, "values.yaml:2:10: error MRC001: the control character 0x00"),
    "an escaped NUL": (b'maskrcnn:\n  name: "a\\0b"\n', 1, "values.yaml:2:9: error MRC009 maskrcnn.name"),
    "terminal escapes": (
        b'maskrcnn:\n  name: "\\e[31mred"\n',
        1,
        r'"\u001b[31mred" does not have the right format',
    ),
    "not UTF-8": (b"maskrcnn:\n  name: caf\xe9\n", 1, "values.yaml:2:12: error MRC001: byte 0xe9"),
    "UTF-16": ("maskrcnn: {}\n".encode("utf-16"), 1, "values.yaml:1:1: error MRC001: the file is UTF-16."),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 1, "values.yaml:1:1: error MRC001: byte 0x89"),
    "an archive": (b"\x1f\x8b\x08\0\0\0\0\0\0\xff", 1, "values.yaml:1:2: error MRC001: byte 0x8b"),
    "10 MB": (b"a: 1\n" * 2_000_000, 1, "the file has more than 1,000,000 bytes."),
    "10 MB on one line": (b"a: " + b"x" * 10_000_000, 1, "the file has more than 1,000,000 bytes."),
    "a string of almost 1 MB": (
        b"maskrcnn: {name: " + b"x" * 999_000 + b"}",
        1,
        "999000 characters, at most 63 are",
    ),
    "a billion laughs": (
        b"a0: &a0 [1, 1]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)),
        1,
        "its aliases expand to more than 10,000 values",
    ),
    "a long string by alias": (
        b"a: &a " + b"x" * 100_000 + b"\nb: [" + b",".join([b"*a"] * 4000) + b"]\n",
        1,
        "its aliases expand to more than 2,000,000 bytes.",
    ),
    "an anchor that contains itself": (
        b"a: &a {<<: *a}\n",
        1,
        "its aliases expand to more than 10,000 values",
    ),
    "deep lists": (b"a: " + b"[" * 100_000, 1, "values are nested more than 50 levels deep."),
    "deep mappings": (b"{a: " * 50_000, 1, "values are nested more than 50 levels deep."),
    "deep brackets in a string": (
        b"maskrcnn:\n  lr_schedule: '" + b"[" * 4000 + b"'\n",
        1,
        "values.yaml:2:16: error MRC062",
    ),
    "a duplicate key": (
        b"maskrcnn:\n  gpus: 8\n  gpus: 8\n",
        1,
        "values.yaml:3:3: error MRC002 maskrcnn.gpus",
    ),
    "a duplicate section": (
        b"maskrcnn: {gpus: 8}\nmaskrcnn: {name: a}\n",
        1,
        "values.yaml:2:1: error MRC002",
    ),
    "4,900 unknown keys": (
        b"maskrcnn:\n" + b"".join(b"  zz%d: 1\n" % n for n in range(4900)),
        1,
        f"values.yaml:2:3: error MRC003 maskrcnn.zz0: {UNKNOWN_KEY}",
    ),
    "9,900 settings": (
        b"maskrcnn:\n  extra_config: [" + b"A.B=1," * 9900 + b"]\n",
        1,
        "at most 500 are allowed.",
    ),
    "100,000 networks": (
        b"global:\n  source_cidr: '" + b"1.1.1.1," * 100_000 + b"'\n",
        1,
        "4096 are allowed.",
    ),
    "an integer of 5,000 digits": (b"maskrcnn:\n  gpus: " + b"9" * 5000, 1, "is not an integer."),
    "5,000 digits as a string": (
        b"maskrcnn:\n  base_lr: '" + b"9" * 5000 + b"'",
        1,
        "values.yaml:2:12: error MRC0",
    ),
    "a large integer that becomes a float": (
        b"maskrcnn:\n  horovod_fusion_threshold: 12345678901234567890\n",
        1,
        "values.yaml:2:29: error MRC071 maskrcnn.horovod_fusion_threshold: 12345678901234567890 is too large",
    ),
    "1e400": (b"maskrcnn:\n  gpus: 1e400\n", 1, "values.yaml:2:9: error MRC004 maskrcnn.gpus"),
    "not a number": (
        b"maskrcnn:\n  base_lr: .nan\n",
        1,
        "values.yaml:2:12: error MRC001: .nan is not a number",
    ),
    "an impossible date": (b"maskrcnn:\n  lr_schedule: '2026-99-99'\n", 1, "values.yaml:2:16: error MRC062"),
    "a tab": (b"maskrcnn:\n\tgpus: 16\n", 1, "values.yaml:2:1: error MRC001: not YAML"),
    "a no-break space": ("maskrcnn:\n\xa0 gpus: 8\n".encode(), 1, "Indent with plain spaces."),
    "no space after a colon": (
        b"maskrcnn:\n  gpus:16\n",
        1,
        'values.yaml:2:3: error MRC004 maskrcnn: "gpus:16"',
    ),
    "a Python object": (
        b"maskrcnn: !!python/object/apply:os.system [echo]\n",
        1,
        "values.yaml:1:11: error MRC004 maskrcnn",
    ),
    "an object with a misspelt field": (
        b"maskrcnn:\n  extra_deploy: [{apiVersion: v1, kind: Secret, metadata: {name: a}, d ata: {b: c}}]",
        1,
        "2:18: error MRC007 maskrcnn.extra_deploy[0]: Kubernetes rejects Secret a: has no field d ata.",
    ),
    "a Helm template": (b"maskrcnn:\n  name: {{ .Release.Name }}\n", 1, "values.yaml:2:10: error MRC001"),
    "a web page": (b"<!doctype html><p>404</p>\n", 1, "the file contains a single value"),
    "a shell script": (b"#!/bin/sh\nset -e\n", 1, "the file contains a single value"),
    "a merge conflict": (
        b"maskrcnn:\n<<<<<<< HEAD\n  gpus: 8\n=======\n  gpus: 16\n>>>>>>> b\n",
        1,
        "values.yaml:2:1: error MRC001: this is an unresolved merge conflict.",
    ),
}

_PROGRAM = """
import contextlib, io, json, resource, sys
from pathlib import Path

resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
from mrc_values.cli import main

for directory in sys.argv[3:]:
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["mrc-values", "validate", sys.argv[2], "-f", f"{directory}/values.yaml"]
    sys.argv += ["--set=maskrcnn.image=a/b:1", "--set=maskrcnn.node_group=p4d"]
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    text = out.getvalue().replace(f"{directory}/", "")
    print(json.dumps([directory, code, text.splitlines(), err.getvalue()]), flush=True)
"""


def _validated(directory: Path, contents: dict[str, bytes]) -> dict[str, Any]:
    """Exit code, lines of stdout, and stderr of mrc-values for each content, all in one process."""
    directories = {}
    for number, (name, content) in enumerate(contents.items()):
        directories[name] = directory / str(number)
        directories[name].mkdir()
        (directories[name] / "values.yaml").write_bytes(content)
    command = [sys.executable, "-c", _PROGRAM, str(MEMORY), str(CHART), *map(str, directories.values())]
    timeout = max(SECONDS, 3 * FUZZ_FILES)
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    results = {row[0]: row[1:] for row in map(json.loads, done.stdout.splitlines())}
    return {
        name: results.get(str(made), [done.returncode, [], done.stderr[-2000:]])
        for name, made in directories.items()
    }


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    contents = {name: content for name, (content, _, _) in HOSTILE.items()}
    return _validated(tmp_path_factory.mktemp("hostile"), contents)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gives_clear_lines_and_the_right_exit_code(name: str, hostile: dict[str, Any]) -> None:
    code, lines, errors = hostile[name]
    _, expected, words = HOSTILE[name]
    assert (code, "Traceback" in errors) == (expected, False), errors
    assert words in next((line for line in lines if " error " in line), "")
    assert all(FINDING.fullmatch(line) and len(line) < 1200 for line in lines)


def test_a_hundred_damaged_files_give_findings_and_no_traceback(tmp_path: Path) -> None:
    seed = time.time_ns() % 10**9 if FUZZ_FILES else 7
    chance = random.Random(seed)
    contents = {str(number): _damaged(COMPLETE, chance) for number in range(FUZZ_FILES or 100)}
    for name, (code, lines, errors) in _validated(tmp_path, contents).items():
        assert code in (0, 1) and "Traceback" not in errors, (seed, contents[name], errors)
        assert [line for line in lines if not FINDING.fullmatch(line)] == [], (seed, contents[name])


def _damaged(content: bytes, chance: random.Random) -> bytes:
    """A file with a few bytes changed, removed, inserted or repeated."""
    made = bytearray(content)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(made))
        match chance.randrange(5):
            case 0:
                made[at] = chance.randrange(256)
            case 1:
                del made[at : at + chance.randint(1, 20)]
            case 2:
                made[at:at] = chance.choice(
                    [b"{", b"}", b"[", b"'", b'"', b"&a ", b"*a ", b"\t", b"\n", b": ", b"- "]
                )
            case 3:
                made[at:at] = made[at : at + 40]
            case _:  # another value after a colon
                start = made.find(b": ", at) + 2
                end = made.find(b"\n", start)
                if start > 1 and end > 0:
                    made[start:end] = chance.choice(ODD_VALUES)
    return bytes(made)


ODD_VALUES = (
    *(b"", b"~", b"true", b"'no'", b"0", b"-1", b"1e999", b".inf", b"0x10", b"0o17", b"1_000", b"12:30:45"),
    *(
        b"2026-01-01",
        b"[]",
        b"{}",
        b"[[]]",
        b"[null]",
        b"{a: {}}",
        b"[1, [2]]",
        b"'(1,2'",
        b"'[(1, None)]'",
        b"'{'",
    ),
    *(
        b"'0.0.0.0/0'",
        b"'::/0'",
        b"'a,b'",
        b"'${X}'",
        b"'$(id)'",
        b"'{{ .Values }}'",
        b"!!binary aGk=",
        b"'\xc2\xa0'",
    ),
    *(
        b"99999999999999999999",
        b"'" + b"9" * 400 + b"'",
        b"'-'",
        b"' '",
        b'"\\u202e"',
        b"|\n    text",
        b"'1Gi'",
        b"1.5",
    ),
)


def test_a_directory_is_not_a_values_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{tmp_path}: is a directory"):
        read_file(tmp_path)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from mrc_values.documents import read_file\n"
        "os.geteuid() or os.seteuid(65534)\n"
        "read_file(Path(sys.argv[1]))"
    )
    file = tmp_path / "values.yaml"
    file.write_text("a: 1\n")
    file.chmod(0)
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == f"mrc_cli.errors.UsageError: {file}: permission denied"


def test_an_endless_file_is_read_to_the_limit_only() -> None:
    (finding,) = read_file(Path("/dev/zero")).findings
    assert finding.message == "the file has more than 1,000,000 bytes."
