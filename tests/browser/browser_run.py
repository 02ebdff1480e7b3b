"""Trained runs to look at. They stay in .browser/, which git ignores, until what made them changes."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
KEPT = ROOT / ".browser"
CHARTS = ROOT / "charts"
EXAMPLES = CHARTS / "maskrcnn" / "examples"
TRAINER = ROOT / "containers" / "train" / "mrc_train"
SCENES = ("--train", "500", "--val", "24")


@dataclass(frozen=True)
class Release:
    """A small training on one CPU rank: chart, values file, more values.

    ``data`` are pictures in COCO layout in place of drawn scenes; ``start`` is a run whose last weights the
    training starts from. ``trained`` is the folder of a run that is there already.
    """

    name: str
    values: Path
    sets: tuple[str, ...]
    chart: str = "maskrcnn"
    data: Path | None = None
    start: "Release | None" = None
    trained: Path | None = None

    @property
    def folder(self) -> Path:
        """Of the run, as it was trained."""
        return self.trained or KEPT / "efs" / "kubeflow" / self.name

    def train(self) -> None:
        """About a minute on two idle cores; nothing when the run is there and nothing has changed."""
        if self.trained:
            return
        if self.start:
            self.start.train()
        mark = self.folder / "trained-by"
        if mark.exists() and mark.read_text() == self.fingerprint():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.data is None:
            _run("mrc-scenes", KEPT / "efs" / "scenes", *SCENES)
        sets = [word for text in (*self.sets, *self._weights()) for word in ("--set", text)]
        data_fs = ["--data-fs", str(self.data.parent)] if self.data else []
        up = ["local", "up", self.name, str(CHARTS / self.chart), "-f", str(self.values), *sets, *data_fs]
        _run("mrc-values", *up, "--ranks", "1", "--dir", KEPT, "--no-tensorboard")
        mark.write_text(self.fingerprint())

    def _weights(self) -> Iterator[str]:
        if self.start:
            newest = (self.start.folder / "checkpoint").read_text().splitlines()[0].split('"')[1]
            yield f"maskrcnn.backbone_weights=kubeflow/{self.start.name}/{newest}"

    def fingerprint(self) -> str:
        """Changes with whatever decides how the run comes out."""
        templates = [CHARTS / self.chart / "values.yaml", *(CHARTS / "maskrcnn" / "templates").rglob("*.*")]
        files = [self.values, *sorted(templates), *sorted(TRAINER.rglob("*.py"))]
        start = self.start.fingerprint() if self.start else ""
        texts = [*SCENES, *self.sets, str(self.data), start, *(file.read_text() for file in files)]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _run(*command: str | Path) -> None:
    program, *arguments = map(str, command)
    done = subprocess.run([str(BIN / program), *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
