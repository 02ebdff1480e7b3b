"""Trained runs. They are cached in .browser/, which git ignores, until the code they depend on changes."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CACHE = ROOT / ".browser"
CHARTS = ROOT / "charts"
EXAMPLES = CHARTS / "maskrcnn" / "examples"
TRAINER = ROOT / "containers" / "train" / "mrc_train"
SCENES = ("--train", "500", "--val", "24")


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
        return self.trained or CACHE / "efs" / "kubeflow" / self.name

    def train(self) -> None:
        """Train, unless the cached run is up to date; takes about a minute on two idle cores."""
        if self.trained:
            return
        if self.start:
            self.start.train()
        fingerprint = self.directory / "fingerprint"
        if fingerprint.exists() and fingerprint.read_text() == self.fingerprint():
            return
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.data is None:
            _run("mrc-scenes", CACHE / "efs" / "scenes", *SCENES)
        sets = [word for text in (*self.sets, *self._weights()) for word in ("--set", text)]
        data_fs = ["--data-fs", str(self.data.parent)] if self.data else []
        up = ["local", "up", self.name, str(CHARTS / self.chart), "-f", str(self.values), *sets, *data_fs]
        _run("mrc-values", *up, "--ranks", "1", "--dir", CACHE, "--no-tensorboard")
        fingerprint.write_text(self.fingerprint())

    def _weights(self) -> Iterator[str]:
        if self.start:
            newest = (self.start.directory / "checkpoint").read_text().splitlines()[0].split('"')[1]
            yield f"maskrcnn.backbone_weights=kubeflow/{self.start.name}/{newest}"

    def fingerprint(self) -> str:
        """A hash of everything that the run's result depends on."""
        templates = [CHARTS / self.chart / "values.yaml", *(CHARTS / "maskrcnn" / "templates").rglob("*.*")]
        files = [self.values, *sorted(templates), *sorted(TRAINER.rglob("*.py"))]
        start = self.start.fingerprint() if self.start else ""
        texts = [*SCENES, *self.sets, str(self.data), start, *(file.read_text() for file in files)]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _run(*command: str | Path) -> None:
    program, *arguments = map(str, command)
    done = subprocess.run([str(BIN / program), *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
