"""A trained run, and runs made of hand-written files."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a finished run of two epochs on 64 x 64 scenes, four of them for validation."""
    import tiny
    from mrc_train import scenes

    data, logdir = tmp_path_factory.mktemp("scenes"), tmp_path_factory.mktemp("trained") / "tiny"
    scenes.main([str(data), "--train", "8", "--val", "4", "--size", "64"])
    done = tiny.train(logdir, data, "TRAIN.STEPS_PER_EPOCH=3", "TRAIN.LR_EPOCH_SCHEDULE=[(2, None)]")
    assert done.returncode == 0, done.stdout + done.stderr
    return logdir


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """``written(name, stats, step, saved)``: a run directory with an empty checkpoint."""

    def write(
        name: str, stats: list[dict[str, Any]] | None = None, step: int = 100, saved: float = 1.8e9
    ) -> Path:
        directory = tmp_path / name
        directory.mkdir(parents=True)
        (directory / "config.yaml").write_text("MODE_MASK: true\n")
        (directory / "stats.json").write_text(json.dumps(stats or []))
        index = directory / f"model-{step}.index"
        index.touch()
        index.with_suffix(".data-00000-of-00001").touch()
        os.utime(index, (saved, saved))
        return directory

    return write
