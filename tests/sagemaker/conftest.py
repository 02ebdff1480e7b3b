"""A finished job, and a server of its model."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import training_containers as containers


@pytest.fixture(scope="session")
def trained(once: Callable[[str, Callable[[Path], None]], Path], tiny_scenes: Path) -> tuple[Path, str]:
    """A finished job's /opt/ml and its log; read-only."""
    hyperparameters = {**containers.HYPERPARAMETERS, "eval_period": "2"}
    del hyperparameters["TRAIN.EVAL_PERIOD"]

    def train(directory: Path) -> None:
        done = containers.train(containers.lay_out(directory / "ml", tiny_scenes, hyperparameters))
        assert done.returncode == 0, done.stdout
        (directory / "log").write_text(done.stdout)

    directory = once("job", train)
    return directory / "ml", (directory / "log").read_text()


@pytest.fixture(scope="session")
def served(trained: tuple[Path, str]) -> Iterator[tuple[str, int]]:
    """Host and port of the real inference server with the job's model, from ``mrc-sagemaker local serve``."""
    from inference_server import Server

    command = ["-m", "mrc_sagemaker.cli", "local", "serve", "--port", "0", "--directory", str(trained[0])]
    # The limit that the chart sets for an asynchronous endpoint.
    server = Server(command, MRC_SERVE_MAX_BODY="1073741824").ready()
    yield "127.0.0.1", server.port
    server.kill()
