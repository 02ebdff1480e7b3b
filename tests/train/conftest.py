"""Help for tests of graph-mode TensorFlow."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def run_graph() -> Callable[..., Any]:
    """``run_graph(function, *arrays)``: the function's tensors, evaluated on the arrays in a fresh graph.

    Only the last dimension of each array (channels, coordinates) is known while the graph is built, as
    in training. Float64 arrays become float32.
    """
    from mrc_train.tfgraph import tf, v1

    def run(function: Callable[..., Any], *arrays: Any) -> Any:
        values = [np.asarray(array) for array in arrays]
        values = [value.astype(np.float32) if value.dtype == np.float64 else value for value in values]
        with tf.Graph().as_default(), v1.Session() as session:
            inputs = [v1.placeholder(value.dtype, _open_shape(value)) for value in values]
            return session.run(function(*inputs), dict(zip(inputs, values, strict=True)))

    return run


def _open_shape(value: np.ndarray) -> list[int | None]:
    return [None] * value.ndim if value.ndim < 2 else [None] * (value.ndim - 1) + [value.shape[-1]]
