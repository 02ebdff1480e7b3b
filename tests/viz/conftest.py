"""Runs made of hand-written files."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


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
