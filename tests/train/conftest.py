"""Fixtures for TensorFlow graphs and for tiny training runs."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def first_session() -> None:
    """Create the process's first session, whose thread pool all later sessions share."""
    from model_graphs import small_graph
    from mrc_train.tfgraph import tf, v1

    with tf.Graph().as_default(), v1.Session(config=small_graph()) as session:
        session.run(tf.zeros([]))


@pytest.fixture(scope="session")
def run_graph() -> Callable[..., Any]:
    """``run_graph(function, *arrays)``: the function's tensors, evaluated on the arrays in a fresh graph.

    Only the last dimension of each array (channels, coordinates) is known while the graph is built, as
    in training. Float64 arrays become float32.
    """
    from model_graphs import small_graph
    from mrc_train.tfgraph import tf, v1

    def run(function: Callable[..., Any], *arrays: Any) -> Any:
        values = [np.asarray(array) for array in arrays]
        values = [value.astype(np.float32) if value.dtype == np.float64 else value for value in values]
        with tf.Graph().as_default(), v1.Session(config=small_graph()) as session:
            inputs = [v1.placeholder(value.dtype, _open_shape(value)) for value in values]
            return session.run(function(*inputs), dict(zip(inputs, values, strict=True)))

    return run


def _open_shape(value: np.ndarray) -> list[int | None]:
    return [None] * value.ndim if value.ndim < 2 else [None] * (value.ndim - 1) + [value.shape[-1]]


@pytest.fixture
def one_core() -> Iterator[None]:
    """Restrict ranks to one thread.

    Several threads add in an order that depends on the machine's load, and a difference in the last digit can
    change which proposals are selected.
    """
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)
