"""The command line that the scripts which generate files of the repository share."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(description: str | None, make: Callable[[], Mapping[Path, str]]) -> int:
    """Writes the generated files, or with ``--check`` only compares; returns 1 if one is not up to date."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a file is not up to date"
    )
    check_only = parser.parse_args().check
    try:
        files = make()
    except ValueError as error:
        sys.exit(str(error))
    outdated = [file for file, text in files.items() if not file.is_file() or file.read_text() != text]
    for file in outdated:
        if check_only:
            print(f"{file.relative_to(ROOT)} is not up to date. Run make reference.", file=sys.stderr)
        else:
            file.write_text(files[file])
    return 1 if check_only and outdated else 0
