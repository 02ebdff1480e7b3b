"""Trained runs, which all checkouts share until something that they depend on changes."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testcluster.programs import cache

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SCREENSHOTS = ROOT / ".browser" / "screenshots"
CHARTS = ROOT / "charts"
EXAMPLES = CHARTS / "maskrcnn" / "examples"
SCENES = ("--train", "500", "--val", "24")


def _digest() -> str:
    """A hash of what any run depends on besides its own settings: code, charts and packages."""
    directories = [ROOT / "containers" / "train" / "mrc_train", CHARTS / "common", *CHARTS.glob("maskrcnn*")]
    files = [ROOT / "packaging" / "requirements" / "packages.txt"]
    for directory in directories:
        files += [f for f in directory.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    texts = [*SCENES, sys.version, *(file.read_text() for file in sorted(files))]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


RUNS = cache() / f"runs-{_digest()}"
"""Directory of ``mrc-values local`` with the runs and the drawn scenes."""


@dataclass(frozen=True)
class Release:
    """A small training run on one CPU rank.

    Attributes:
        values, sets: values file and ``--set`` expressions.
        data: images in COCO layout, instead of drawn scenes.
        start: the run whose newest weights the training starts from.
        trained: directory of an existing run, which is used instead of training one.
    """

    name: str
    values: Path
    sets: tuple[str, ...]
    chart: str = "maskrcnn"
    data: Path | None = None
    start: "Release | None" = None
    trained: Path | None = None

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return self.trained or RUNS / "efs" / "kubeflow" / self.name

    def train(self) -> None:
        """Train, unless that was done before; takes about a minute on two idle cores."""
        if self.trained:
            return
        if self.start:
            self.start.train()
        cache().mkdir(parents=True, exist_ok=True)
        with (cache() / "runs.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for other in cache().glob("runs-*"):
                if other != RUNS:
                    shutil.rmtree(other)
            settings = self.directory / "settings-of-the-test"
            if not settings.exists() or settings.read_text() != self._settings():
                self._train()
                settings.write_text(self._settings())

    def _train(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.data is None:
            _run("mrc-scenes", RUNS / "efs" / "scenes", *SCENES)
        sets = [word for text in (*self.sets, *self._weights()) for word in ("--set", text)]
        data_fs = ["--data-fs", str(self.data.parent)] if self.data else []
        up = ["local", "up", self.name, str(CHARTS / self.chart), "-f", str(self.values), *sets, *data_fs]
        _run("mrc-values", *up, "--ranks", "1", "--dir", RUNS, "--no-tensorboard")

    def _weights(self) -> Iterator[str]:
        if self.start:
            newest = (self.start.directory / "checkpoint").read_text().splitlines()[0].split('"')[1]
            yield f"maskrcnn.backbone_weights=kubeflow/{self.start.name}/{newest}"

    def _settings(self) -> str:
        start = self.start._settings() if self.start else None
        return f"{self.values.read_text()} {self.sets} {self.chart} {self.data} {start}"


def _run(*command: str | Path) -> None:
    program, *arguments = map(str, command)
    done = subprocess.run([str(BIN / program), *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
