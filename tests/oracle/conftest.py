"""Comparison with torch and torchvision, which run in separate processes with their own environment.

A process that imports both TensorFlow and torch aborts. ``make test-oracle`` installs the environment and
runs these tests.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("torch_side.py")

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def torch_side(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Arrays]:
    """``torch_side(function, **arrays)``: the results of that function of torch_side.py, by name."""
    python = os.environ.get("MRC_ORACLE_PYTHON")
    if not python:
        pytest.skip("needs torch and torchvision; make test-oracle installs them (about 4 GB)")

    def run(function: str, **inputs: np.ndarray) -> Arrays:
        directory = tmp_path_factory.mktemp(function)
        np.savez(directory / "in.npz", **inputs)
        command = [python, PROGRAM, function, directory / "in.npz", directory / "out.npz"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(np.load(directory / "out.npz"))

    return run
