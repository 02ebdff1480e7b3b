"""The end of staging: the tree gets its place, and the marker says that all is there."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mrc_cli.files import flush_directory, write_atomically
from mrc_cli.staged import MARKER
from pydantic import BaseModel, ConfigDict

from mrc_stage.archive import Member
from mrc_stage.plan import Plan
from mrc_stage.workspace import Workspace


class Marker(BaseModel):
    """``DEST/.mrc-staged.json``, written when everything is in its place."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int = 1
    source: str
    digest: str
    """Of the plan: which versions of which objects."""
    archives: dict[str, str]
    """SHA-256 of each object."""
    files: int
    bytes: int


def publish(workspace: Workspace, destination: Path, plan: Plan, source: str) -> None:
    """Move the tree's entries into the destination. Another shard may do the same at the same time."""
    if workspace.tree.is_dir():
        _move_entries(workspace.tree, destination)
        flush_directory(destination)
    marker = Marker(
        source=source, digest=plan.digest, archives=plan.archives, files=plan.files, bytes=plan.size
    )
    write_atomically(destination / MARKER, marker.model_dump_json(indent=2) + "\n")
    workspace.remove()


def move(tree: Path, destination: Path, members: Iterable[Member]) -> None:
    """Move single files from the tree to their places."""
    for member in members:
        target = destination / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        (tree / member.name).rename(target)


def read_marker(destination: Path) -> Marker | None:
    """The marker of a directory, or None when it has none that can be read."""
    try:
        return Marker.model_validate_json((destination / MARKER).read_text())
    except (OSError, ValueError):
        return None


def _move_entries(tree: Path, destination: Path) -> None:
    """Rename whole directories where the destination has none, and single entries where it has."""
    for entry in _entries(tree):
        target = destination / entry.name
        try:
            if entry.is_dir() and target.is_dir():
                _move_entries(Path(entry.path), target)
            else:
                Path(entry.path).rename(target)
        except FileNotFoundError:
            if not target.exists():
                raise
            # Another shard was faster.


def _entries(directory: Path) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
