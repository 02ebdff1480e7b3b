"""Programs on a pseudo-terminal, and text that would control it."""

import os
import pty
import select
import subprocess
from pathlib import Path

import pytest
import tiny

TITLE = "\x1b]0;owned\x07"
"""Sets the window's title; no library here ever writes it."""


def on_terminal(*command: str | Path, stdout: int | None = None, **environment: str) -> str:
    """Everything that a program of this environment writes to a pseudo-terminal.

    ``stdout``: where its results go instead.
    """
    leader, follower = pty.openpty()
    program, *arguments = map(str, command)
    process = subprocess.Popen(
        [str(tiny.BIN / program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=follower if stdout is None else stdout,
        stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", **environment},
    )
    os.close(follower)
    written = b""
    while True:
        if not select.select([leader], [], [], 240)[0]:
            process.kill()
            pytest.fail("no output for four minutes")
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        written += part
    process.wait()
    os.close(leader)
    return written.decode("utf-8", "replace")


def assert_harmless(written: str) -> None:
    """No text of others drives the terminal."""
    assert "\x1b]" not in written
    assert not set(written) & set("\x07\x9b\u202e")
