"""Checks against torch and torchvision, which live in an environment and in processes of their own:
TensorFlow and torch in one process abort. ``make test-oracle`` sets them up and runs these tests."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def torch_side(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Arrays]:
    """``torch_side("function", **arrays)``: what that function of torch_side.py makes of them."""
    python = os.environ.get("MRC_ORACLE_PYTHON")
    if not python:
        pytest.skip("needs torch and torchvision, about 4 GB: make test-oracle installs them apart")

    def run(function: str, **inputs: np.ndarray) -> Arrays:
        folder = tmp_path_factory.mktemp(function)
        np.savez(folder / "in.npz", **inputs)
        command = [python, HERE / "torch_side.py", function, folder / "in.npz", folder / "out.npz"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(np.load(folder / "out.npz"))

    return run
