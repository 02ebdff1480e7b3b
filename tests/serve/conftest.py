"""An exported model and a server of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny
from inference_server import Server

SETTINGS = [
    "PREPROC.TEST_SHORT_EDGE_SIZE=128",
    "PREPROC.MAX_SIZE=256",
    "TEST.RESULT_SCORE_THRESH=0.01",
    "TEST.RESULT_SCORE_THRESH_VIS=0.02",
]


@pytest.fixture(scope="session")
def exported(once: Callable[[str, Callable[[Path], None]], Path], finished: Path) -> Path:
    """An exported model; read-only."""

    def export(directory: Path) -> None:
        options = ("--load", finished, "--export", directory / "exported", "--config", *SETTINGS)
        done = tiny.predict(*options)
        assert done.returncode == 0, done.stderr

    return once("export", export) / "exported"


@pytest.fixture(scope="session")
def pixels(tiny_scenes: Path) -> np.ndarray:
    """A drawn scene of 320 x 240 pixels, BGR."""
    scene = cv2.imread(str(min((tiny_scenes / "val2017").iterdir())))
    return cv2.resize(scene, (320, 240), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="session")
def jpeg(pixels: np.ndarray) -> bytes:
    """The same as a JPEG."""
    return encoded(pixels, ".jpg")


def encoded(image: np.ndarray, suffix: str, *parameters: int) -> bytes:
    return cv2.imencode(suffix, image, parameters)[1].tobytes()


@pytest.fixture(scope="session")
def shared_server(exported: Path) -> Iterator[Server]:
    server = Server(exported)
    yield server.ready()
    server.kill()


@pytest.fixture
def server(shared_server: Server) -> Server:
    """A server that many tests share, and that no test may end."""
    assert shared_server.process.poll() is None, shared_server.lines[-20:]
    return shared_server


@pytest.fixture
def start(exported: Path) -> Iterator[Callable[..., Server]]:
    """``start(model, VARIABLE="...")``: a server of the test's own, by default of the exported model."""
    servers: list[Server] = []

    def started(model: Path = exported, **options: str) -> Server:
        servers.append(Server(model, **options))
        return servers[-1]

    yield started
    for server in servers:
        server.kill()


@pytest.fixture
def predicted(finished: Path, tmp_path: Path) -> Callable[[bytes], list[dict[str, object]]]:
    """``predicted(file)``: what mrc-predict detects in an image file with the run's checkpoint."""

    def predict(content: bytes) -> list[dict[str, object]]:
        (tmp_path / "image").write_bytes(content)
        done = tiny.predict(
            *("--load", finished, "--predict", tmp_path / "image", "--output", tmp_path),
            *("--json", tmp_path / "out.json", "--config", *SETTINGS),
        )
        assert done.returncode == 0, done.stderr
        detections: list[dict[str, object]] = json.loads((tmp_path / "out.json").read_text())[0]["detections"]
        return detections

    return predict
