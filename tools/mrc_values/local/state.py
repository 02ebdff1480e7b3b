"""What local mode remembers of a release: one JSON file each, replaced atomically."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from mrc_cli.errors import UserError

from mrc_values.local.processes import Identity


class Phase(StrEnum):
    """How a release stands. LOST: its supervisor was killed and could not write an ending."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"


@dataclass
class Release:
    """One release. Times are ISO 8601 in UTC; folders and files are absolute."""

    name: str
    chart: str
    namespace: str
    job: str
    mark: str
    ranks: int
    shared_fs: str
    data_fs: str
    run_folder: str
    manifest: str
    scratch: str = ""
    started: str = ""
    ended: str = ""
    exit_code: int | None = None
    stopped: bool = False
    supervisor: Identity | None = None
    launcher: Identity | None = None
    tensorboard: Identity | None = None
    tensorboard_address: str = ""

    @staticmethod
    def from_json(values: dict[str, Any]) -> "Release":
        """From what ``dataclasses.asdict`` made. Raises TypeError for other keys."""
        for key in ("supervisor", "launcher", "tensorboard"):
            if values.get(key) is not None:
                values[key] = Identity(**values[key])
        return Release(**values)

    @property
    def log(self) -> Path:
        """Where all that the launcher prints is kept."""
        return Path(self.run_folder) / "launcher.log"

    @property
    def phase(self) -> Phase:
        """Looks at the processes, not only at what was written."""
        if self.supervisor is not None and self.supervisor.process() and not self.ended:
            return Phase.RUNNING
        if self.stopped:
            return Phase.STOPPED
        if self.exit_code is None:
            return Phase.LOST
        return Phase.FINISHED if self.exit_code == 0 else Phase.FAILED


class Store:
    """The releases of one state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve() / "releases"

    def mark(self, name: str) -> str:
        """The text that marks the processes of release ``name`` of this folder."""
        return f"{self.folder}/{name}"

    def file(self, name: str, suffix: str) -> Path:
        """A file of the release, such as ``.json`` or ``.yaml``."""
        return self.folder / f"{name}{suffix}"

    def names(self) -> list[str]:
        """Every release of the folder."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def load(self, name: str) -> Release | None:
        """The release; None when there never was one. Raises UserError for a damaged file."""
        path = self.file(name, ".json")
        try:
            return Release.from_json(json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError):
            raise UserError(
                f"{path} is damaged. Remove it; the run's folder keeps all that was trained."
            ) from None

    def get(self, name: str) -> Release:
        """The release. Raises UserError, naming those there are, when there is none."""
        release = self.load(name)
        if release is None:
            there = ", ".join(self.names()) or "none yet"
            raise UserError(f"no local release {name} in {self.folder.parent} (there: {there}).")
        return release

    def save(self, release: Release) -> None:
        """Writes the release; a reader sees the old or the new text, never half."""
        path = self.file(release.name, ".json")
        fresh = path.with_suffix(f".{os.getpid()}.tmp")
        fresh.write_text(json.dumps(asdict(release), indent=1) + "\n")
        fresh.replace(path)

    @contextmanager
    def lock(self, name: str) -> Iterator[int]:
        """Holds the release against a second ``up``; yields a file descriptor that a child may inherit.

        The system drops the lock when its last holder ends, however that ends. Raises UserError when
        another holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.file(name, ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{name} is running already. Watch it with `mrc-values local logs {name} -f`, "
                    f"or stop it with `mrc-values local down {name}`."
                ) from None
            yield handle.fileno()


def now() -> str:
    """The time as a release keeps it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
