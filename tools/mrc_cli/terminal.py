"""What a command writes to the terminal: results to stdout, everything else to stderr."""

import re
import sys
from collections.abc import Sequence
from contextlib import suppress

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Text with control characters made visible (``\\x1b``), so that no file name or log drives the terminal.

    Tabs and line feeds stay. Escape sequences, carriage returns, bidirectional overrides and lone surrogates
    are written as Python escapes.
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Printable text whose line feeds are visible, too: for names and messages that must not break a line."""
    return printable(text).replace("\n", r"\n")


def result(text: str) -> None:
    """Print a part of the command's result to stdout."""
    print(printable(text), flush=True)


def say(text: str) -> None:
    """Print a message for the user to stderr. On a full disk, work continues without it."""
    with suppress(OSError):
        print(printable(text), file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """A duration as ``1:02:03``."""
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under a header to stdout: drawn for people, plain columns when piped."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        for row in (header, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*header)
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)
