"""Data for training jobs, a finished job, and a server of its model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import training_containers as containers


@pytest.fixture(scope="session")
def tiny_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes of 64 x 64 pixels: 16 for training, 4 for validation."""
    return containers.draw_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_scenes: Path) -> tuple[Path, str]:
    """A finished job's /opt/ml and its log; read-only."""
    hyperparameters = {**containers.HYPERPARAMETERS, "eval_period": "2"}
    del hyperparameters["TRAIN.EVAL_PERIOD"]
    root = containers.lay_out(tmp_path_factory.mktemp("ml"), tiny_scenes, hyperparameters)
    done = containers.train(root)
    assert done.returncode == 0, done.stdout
    return root, done.stdout


@pytest.fixture(scope="session")
def served(trained: tuple[Path, str]) -> Iterator[tuple[str, int]]:
    """Host and port of the real inference server with the job's model, from ``mrc-sagemaker local serve``."""
    from inference_server import Server

    command = ["-m", "mrc_sagemaker.cli", "local", "serve", "--port", "0", "--directory", str(trained[0])]
    server = Server(command).ready()
    yield "127.0.0.1", server.port
    server.kill()
