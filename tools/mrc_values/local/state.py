"""The state that local mode keeps for each release: a JSON file, replaced atomically."""

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from mrc_cli.errors import UserError
from mrc_cli.files import write_atomically

from mrc_values import documents, printed
from mrc_values.local.processes import Identity


class Phase(StrEnum):
    """The state of a release. LOST: its supervisor was killed before it could record how the run ended."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"


@dataclass
class Release:
    """One release. Times are ISO 8601 in UTC; paths are absolute.

    ``up_words`` are the words after NAME with which ``local up`` was called, for the command that resumes.
    """

    name: str
    namespace: str
    job: str
    mark: str
    ranks: int
    shared_fs: str
    data_fs: str
    run_dir: str
    manifest: str
    up_words: list[str] = field(default_factory=list)
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
        """The inverse of ``dataclasses.asdict``. Raises TypeError for unknown keys."""
        for key in ("supervisor", "launcher", "tensorboard"):
            if values.get(key) is not None:
                values[key] = Identity(**values[key])
        return Release(**values)

    @property
    def log(self) -> Path:
        """The log with everything that the launcher prints."""
        return Path(self.run_dir) / "launcher.log"

    @property
    def phase(self) -> Phase:
        """The current state, by the processes that are running as well as by the recorded state."""
        if self.supervisor is not None and self.supervisor.process() and not self.ended:
            return Phase.RUNNING
        if self.stopped:
            return Phase.STOPPED
        if self.exit_code is None:
            return Phase.LOST
        return Phase.FINISHED if self.exit_code == 0 else Phase.FAILED


class Store:
    """The releases in one state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve() / "releases"

    def mark(self, name: str) -> str:
        """The mark of the processes of a release in this directory."""
        return f"{self.directory}/{name}"

    def file(self, name: str, suffix: str) -> Path:
        """The release's file with a suffix such as ``.json`` or ``.yaml``."""
        return self.directory / f"{name}{suffix}"

    def kept_stdin(self, name: str) -> Path:
        """A file with the values that were read from stdin, for the command that resumes."""
        kept = self.file(name, ".values.yaml")
        write_atomically(kept, documents.stdin().decode(), 0o600)
        return kept

    def names(self) -> list[str]:
        """The names of all releases in the directory."""
        return sorted(path.stem for path in self.directory.glob("*.json"))

    def load(self, name: str) -> Release | None:
        """A release, or None when it does not exist. Raises UserError when its file is damaged."""
        path = self.file(name, ".json")
        try:
            return Release.from_json(json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError):
            raise UserError(
                f"{path} is damaged. Remove it; checkpoints and logs in the run directory are not affected."
            ) from None

    def get(self, name: str) -> Release:
        """A release. Raises UserError, listing the existing ones, when it does not exist."""
        release = self.load(name)
        if release is None:
            known = ", ".join(self.names()) or "none"
            raise UserError(
                f"no local release {name} in {self.directory.parent}. Existing releases: {known}."
            )
        return release

    def save(self, release: Release) -> None:
        """Write the release to its file."""
        write_atomically(
            self.file(release.name, ".json"), json.dumps(asdict(release), indent=1) + "\n", 0o600
        )

    @contextmanager
    def lock(self, name: str) -> Iterator[int]:
        """Lock the release against a second ``up``; yields a file descriptor that a child may inherit.

        The kernel releases the lock when the last process that holds it ends, in whatever way. Raises
        UserError when another process holds it.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.file(name, ".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise UserError(f"{path} is a symbolic link. Remove it.") from None
        with os.fdopen(descriptor, "r+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                follow = printed.local("logs", name, self.directory.parent, ["-f"])
                down = printed.local("down", name, self.directory.parent)
                raise UserError(
                    f"{name} is already running. Follow it with `{follow}`, or stop it with `{down}`."
                ) from None
            yield handle.fileno()


def now() -> str:
    """The current time in the format that releases keep."""
    return datetime.now(UTC).isoformat(timespec="seconds")
