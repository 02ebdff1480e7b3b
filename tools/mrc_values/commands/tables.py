"""Tables: drawn for people, plain columns for programs."""

import sys
from collections.abc import Sequence

import typer


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of text under a header to stdout."""
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        for row in (header, *rows):
            typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*header)
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn)
