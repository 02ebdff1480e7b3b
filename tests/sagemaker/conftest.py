"""Data and directories for training jobs in SageMaker's layout."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes of 64 x 64 pixels: 16 for training, 4 for validation."""
    from mrc_train import scenes

    directory = tmp_path_factory.mktemp("scenes")
    scenes.main([str(directory), "--train", "16", "--val", "4", "--size", "64"])
    return directory
