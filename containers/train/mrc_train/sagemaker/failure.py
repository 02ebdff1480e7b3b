"""The reason for a failed training, from the output of its programs."""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mrc_cli.terminal import printable, say

MAX_BYTES = 1024
"""SageMaker shows this many characters of the file."""

_TAG = re.compile(r"^\[\d+,\d+\]<(?:stdout|stderr)>:")
_ERROR_LINE = re.compile(r"mrc-(?:train|predict): error: .*")
_SIGNAL = re.compile(r"mpirun noticed that process .* exited on signal .*")
"""A rank that was killed, as when memory is short: other ranks then raise exceptions about its silence."""

_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b.*")


def reason(lines: Iterable[str]) -> str:
    """The line that says why the trainer failed: its own error line, a rank's signal, an exception, or the
    last line."""
    plain = [_TAG.sub("", line).strip() for line in lines]
    plain = [line for line in plain if line]
    for pattern in (_ERROR_LINE, _SIGNAL, _EXCEPTION):
        matches = [match[0] for line in plain if (match := pattern.search(line))]
        if matches:
            return matches[-1] if pattern is _EXCEPTION else matches[0]
    return plain[-1] if plain else "no output"


def reserve(path: Path) -> None:
    """Take up the space that the reason will need: a full volume is a reason itself."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _reserved(path).write_bytes(b" " * MAX_BYTES)


def release(path: Path) -> None:
    """Give the space back, after a training that did not fail."""
    _reserved(path).unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write the file that SageMaker reads. What prevents it must not hide the exit code: it is reported."""
    content = printable(text).encode()[:MAX_BYTES].decode(errors="ignore").encode()
    reserved = _reserved(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written in place, since a new file might not get the space that this one frees.
        with reserved.open("r+b" if reserved.exists() else "wb") as file:
            file.write(content)
            file.truncate()
        reserved.replace(path)
    except OSError as error:
        say(f"train: {path}: {error.strerror}; the reason was: {text}")


def _reserved(path: Path) -> Path:
    return path.with_name(f".{path.name}")
