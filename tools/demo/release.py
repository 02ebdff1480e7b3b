"""The release that the demo runs with ``mrc-values local``."""

import json
import os
import re
import subprocess
from functools import reduce
from pathlib import Path
from typing import Any

from mrc_cli.errors import UserError
from mrc_train import run_directory
from mrc_train.config import known_keys, parse
from mrc_train.side_files import read_settings
from mrc_values.check import check
from mrc_values.local import launch, up

from demo.processes import BIN, run

ROOT = Path(os.path.relpath(Path(__file__).resolve().parents[2]))
CHART = ROOT / "charts" / "maskrcnn"

RESUMABLE = re.compile(r"TRAINER$|TRAIN\.|TEST\.|DATA\.NUM_WORKERS$")
"""Settings that may change between a checkpoint and the run that resumes from it."""


class Release:
    """The release of drawn scenes, or of the user's images.

    Args:
        directory: for data, runs and the state of local mode.
        data: images in COCO layout; None for drawn scenes in ``directory``.
    """

    def __init__(self, directory: Path, data: Path | None) -> None:
        self.name = "photos" if data else "demo"
        self.directory = directory
        self.data_fs = data.parent if data else None
        self.example = CHART / "examples" / ("photos.yaml" if data else "drawn-scenes.yaml")
        self.sets = [f"maskrcnn.data_dir={data.name}"] if data else []
        self.values = ["-f", self.example, *(word for text in self.sets for word in ("--set", text))]

    def local(self, verb: str, *arguments: object) -> list[str]:
        """The command ``mrc-values local VERB`` for this release."""
        return ["mrc-values", "local", verb, self.name, *map(str, arguments), "--dir", str(self.directory)]

    def up(self) -> None:
        """Train, or resume training."""
        run(*self.local("up", CHART, *self.values, *(["--data-fs", self.data_fs] if self.data_fs else [])))

    def status(self) -> dict[str, Any]:
        """The output of ``mrc-values local status``; empty before the first start."""
        program, *arguments = self.local("status", "--format", "json")
        done = subprocess.run([BIN / program, *arguments], capture_output=True, text=True)  # noqa: S603
        return dict(json.loads(done.stdout)[0]) if done.returncode == 0 else {}

    def down(self) -> None:
        """Stop TensorBoard, unless another demo is running this release."""
        status = self.status()
        if status.get("tensorboard") and status["state"] != "running":
            run(*self.local("down"))

    def run_directory_and_settings(self) -> tuple[Path, list[str]]:
        """The run directory, and the trainer's settings as ``KEY=VALUE``, without starting anything."""
        checked = check(CHART, [self.example], self.sets, release=self.name)
        mounts = up.file_systems(checked.values, self.directory, None, self.data_fs)
        launcher = launch.launcher_of(checked.rendered)
        words = launch.command_line(launcher, launch.environment(launcher, mounts))
        directory = Path(os.path.relpath(launch.run_dir(launcher, mounts["SHARED_FS"])))
        return directory, words[words.index("--config") + 1 :]


def check_unchanged(directory: Path, settings: list[str]) -> None:
    """Raise UserError if the run has checkpoints of other data or of another model."""
    if run_directory.newest_checkpoint(directory) is None:
        return
    trained, current = read_settings(directory), parse(settings)
    for key in known_keys():
        old, new = (reduce(getattr, key.split("."), cfg) for cfg in (trained, current))
        if old != new and not RESUMABLE.match(key):
            raise UserError(
                f"{directory} was trained with {key}={old}, which is now {new}. Start with CLEAN=1."
            )
