"""Setup for all tests, and the trained run that most of them read."""

import fcntl
import gc
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

# Background jobs of a shell ignore SIGINT, and the programs that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What is collected lives to the end, and looking through it for garbage takes a fifth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """``once(name, build)``: a directory that ``build`` fills once for all processes of a test run."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def provide(name: str, build: Callable[[Path], None]) -> Path:
        directory, complete = shared / name, shared / f"{name}.complete"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete.exists():
                directory.mkdir()
                build(directory)
                complete.touch()
        return directory

    return provide


@pytest.fixture(scope="session")
def faulty_files(once: Once) -> Path:
    """The library that makes writing fail in the programs that it is preloaded into."""
    source = Path(__file__).parent / "train" / "faulty_files.c"

    def build(directory: Path) -> None:
        command = ["cc", "-shared", "-fPIC", "-o", directory / "faulty_files.so", source, "-ldl"]
        subprocess.run(command, check=True)

    return once("library", build) / "faulty_files.so"


@pytest.fixture(scope="session")
def tiny_scenes(once: Once) -> Path:
    """Drawn scenes of 64 x 64 pixels: 16 for training, 4 for validation; read-only."""
    from mrc_train import scenes

    return once("scenes", lambda to: scenes.main([str(to), "--train", "16", "--val", "4", "--size", "64"]))


@pytest.fixture(scope="session")
def finished(once: Once, tiny_scenes: Path) -> Path:
    """Directory of a finished run of two epochs; read-only."""
    import tiny

    def train(directory: Path) -> None:
        settings = (*tiny.SETTINGS, "TRAIN.STEPS_PER_EPOCH=3", "TRAIN.LR_EPOCH_SCHEDULE=[(2, None)]")
        where = ("--logdir", directory / "tiny", "--config", f"DATA.BASEDIR={tiny_scenes}")
        done = tiny.run("mrc-train", *where, *settings)
        assert done.returncode == 0, done.stdout + done.stderr

    return once("finished", train) / "tiny"
