"""A tiny trained model, its export, and a server of it, each once per session."""

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
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a finished run; read-only. Its settings are those of the export."""
    from mrc_train import scenes

    directory = tmp_path_factory.mktemp("serve")
    scenes.main([str(directory / "scenes"), "--train", "8", "--val", "2", "--size", "64"])
    logdir = directory / "run"
    done = tiny.train(
        logdir, directory / "scenes", "TRAIN.STEPS_PER_EPOCH=3", "TRAIN.LR_EPOCH_SCHEDULE=[(1, None)]"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return logdir


@pytest.fixture(scope="session")
def exported(run: Path) -> Path:
    """An exported model; read-only."""
    target = run.with_name("exported")
    done = tiny.run("mrc-predict", "--load", run, "--export", target, "--config", *SETTINGS)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="session")
def pixels(run: Path) -> np.ndarray:
    """A drawn scene of 320 x 240 pixels, BGR."""
    scene = cv2.imread(str(min((run.parent / "scenes" / "val2017").iterdir())))
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
    for each in servers:
        each.kill()


@pytest.fixture
def predicted(run: Path, tmp_path: Path) -> Callable[[bytes], list[dict[str, object]]]:
    """``predicted(file)``: what mrc-predict detects in an image file with the run's checkpoint."""

    def predict(content: bytes) -> list[dict[str, object]]:
        (tmp_path / "image").write_bytes(content)
        done = tiny.run(
            *("mrc-predict", "--load", run, "--predict", tmp_path / "image", "--output", tmp_path),
            *("--json", tmp_path / "out.json", "--config", *SETTINGS),
        )
        assert done.returncode == 0, done.stderr
        detections: list[dict[str, object]] = json.loads((tmp_path / "out.json").read_text())[0]["detections"]
        return detections

    return predict
