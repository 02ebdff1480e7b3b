"""What mrc-stage leaves in a directory of a shared file system, for all that reads the data set later."""

from pathlib import Path

MARKER = ".mrc-staged.json"
"""A file that says what was staged. It is written when everything is in its place."""

WORKSPACE = ".mrc-stage"
"""A directory that exists while staging is not complete."""


def incomplete(directory: Path) -> str:
    """Why the data set in a directory is not complete and how to resume, in one line; empty if it is.

    A directory that was filled by other means has neither marker nor workspace, and counts as complete.
    """
    if not (directory / WORKSPACE).is_dir():
        return ""
    return (
        f"{directory}: the data set is not completely staged. Run its stage-data job or mrc-stage stage "
        f"again, which fetches only what is missing; mrc-stage status {directory} says how far it is."
    )
