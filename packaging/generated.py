"""What the scripts that write a page of docs/ have in common: the command line."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(description: str | None, page: Path, make: Callable[[], str]) -> int:
    """Writes the page, or with ``--check`` only looks; the exit code says whether it is up to date."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the page is old")
    check_only = parser.parse_args().check
    text = make()
    if not check_only:
        page.write_text(text)
    elif not page.is_file() or page.read_text() != text:
        print(f"{page.relative_to(ROOT)} is not up to date. Run make reference.", file=sys.stderr)
        return 1
    return 0
