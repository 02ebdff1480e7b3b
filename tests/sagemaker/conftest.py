"""Data for training jobs."""

from pathlib import Path

import pytest
import training_containers as containers


@pytest.fixture(scope="session")
def tiny_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes of 64 x 64 pixels: 16 for training, 4 for validation."""
    return containers.draw_scenes(tmp_path_factory.mktemp("scenes"))
