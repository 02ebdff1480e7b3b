"""The reason for a failed training, from the output of its programs."""

import re
from collections.abc import Iterable
from pathlib import Path

from mrc_cli.terminal import printable, say

MAX_BYTES = 1024
"""SageMaker shows this many characters of the file."""

_TAG = re.compile(r"^\[\d+,\d+\]<(?:stdout|stderr)>:")
_ERROR_LINE = re.compile(r"mrc-(?:train|predict): error: .*")
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b.*")


def reason(lines: Iterable[str]) -> str:
    """The line that says why the trainer failed: its own error line, or an exception, or its last line."""
    plain = [_TAG.sub("", line).strip() for line in lines]
    plain = [line for line in plain if line]
    for pattern in (_ERROR_LINE, _EXCEPTION):
        matches = [match[0] for line in plain if (match := pattern.search(line))]
        if matches:
            return matches[0] if pattern is _ERROR_LINE else matches[-1]
    return plain[-1] if plain else "no output"


def write(path: Path, text: str) -> None:
    """Write the file that SageMaker reads. A full disk must not hide the exit code: it is only reported."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(printable(text).encode()[:MAX_BYTES].decode(errors="ignore").encode())
    except OSError as error:
        say(f"train: {path}: {error.strerror}; the reason was: {text}")
