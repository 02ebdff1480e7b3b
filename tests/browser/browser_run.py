"""Trained runs to look at. They stay in .browser/, which git ignores, until trainer or values change."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
KEPT = ROOT / ".browser"
EXAMPLES = ROOT / "charts" / "maskrcnn" / "examples"


@dataclass(frozen=True)
class Release:
    """A small training: values file, more values, and where the data are."""

    name: str
    values: Path
    sets: tuple[str, ...]
    data: Path | None = None

    @property
    def folder(self) -> Path:
        """Of the run, as it was trained."""
        return KEPT / "efs" / "kubeflow" / self.name

    def train(self) -> None:
        """About a minute on two idle cores; nothing when the run is there and nothing has changed."""
        mark = self.folder / "trained-by"
        if mark.exists() and mark.read_text() == self._fingerprint():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.data is None:
            _run("mrc-scenes", KEPT / "efs" / "scenes")
        sets = [word for text in self.sets for word in ("--set", text)]
        data_fs = ["--data-fs", self.data.parent] if self.data else []
        up = ["mrc-values", "local", "up", self.name, ROOT / "charts" / "maskrcnn", "-f", self.values, *sets]
        _run(*up, *data_fs, "--dir", KEPT, "--no-tensorboard")
        mark.write_text(self._fingerprint())

    def _fingerprint(self) -> str:
        files = [self.values, *sorted((ROOT / "containers" / "train" / "mrc_train").rglob("*.py"))]
        texts = [*self.sets, str(self.data), *(file.read_text() for file in files)]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _run(*command: str | Path) -> None:
    program, *arguments = map(str, command)
    done = subprocess.run([str(BIN / program), *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
