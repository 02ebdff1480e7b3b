"""Mixed precision: the choice for a machine, and the loss scale of float16."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

SAPPHIRE_RAPIDS = "flags\t\t: fpu avx512f avx512_bf16 amx_bf16 avx512_fp16 amx_tile\n"
COOPER_LAKE = "flags\t\t: fpu avx512f avx512_bf16\n"
GRAVITON = "Features\t: fp asimd bf16 i8mm\n"


@pytest.mark.parametrize(
    ("has_gpu", "cpuinfo", "expected"),
    [
        (False, SAPPHIRE_RAPIDS, "bfloat16"),
        (False, COOPER_LAKE, "float32"),
        (False, GRAVITON, "float32"),
        (False, "", "float32"),
        (True, SAPPHIRE_RAPIDS, "float16"),
        (True, COOPER_LAKE, "float16"),
    ],
)
def test_mixed_precision_is_float16_on_gpus_and_bfloat16_on_cpus_with_amx(
    has_gpu: bool, cpuinfo: str, expected: str
) -> None:
    from mrc_train.precision import mixed_precision

    assert mixed_precision(has_gpu, cpuinfo) == expected


@pytest.fixture
def steps() -> Callable[..., list[tuple[float, float]]]:
    """``steps(slope, count)``: a weight and the loss scale after each step, for the loss ``slope * weight``.

    The weight is initialized to 0 and optimized by gradient descent; its gradient passes through float16.
    """
    from mrc_train.precision import LOSS_SCALE, with_loss_scale
    from mrc_train.tfgraph import tf, v1

    def run(slope: float, count: int) -> list[tuple[float, float]]:
        with tf.Graph().as_default(), v1.Session() as session:
            weight = v1.get_variable("weight", initializer=tf.zeros([]))
            loss = tf.cast(tf.cast(weight, tf.float16), tf.float32) * slope
            optimizer = with_loss_scale(v1.train.GradientDescentOptimizer(1.0))
            train = optimizer.apply_gradients(optimizer.compute_gradients(loss))
            scale = next(v for v in v1.global_variables() if v.op.name == LOSS_SCALE)
            session.run(v1.global_variables_initializer())
            results = []
            for _ in range(count):
                session.run(train)
                results.append(tuple(session.run([weight, scale])))
            return results

    return run


def test_a_gradient_below_the_smallest_float16_changes_the_weight(steps: Callable[..., Any]) -> None:
    assert np.float16(1e-8) == 0
    ((weight, _),) = steps(slope=1e-8, count=1)
    assert weight == pytest.approx(-1e-8, rel=1e-3)


def test_steps_that_overflow_float16_are_skipped_until_the_scale_is_small_enough(
    steps: Callable[..., Any],
) -> None:
    """The largest float16 is 65504: 100 * 2 ** 15 overflows, 100 * 2 ** 9 does not."""
    results = steps(slope=100, count=8)
    assert [scale for _, scale in results] == [2**14, 2**13, 2**12, 2**11, 2**10, 2**9, 2**9, 2**9]
    assert [weight for weight, _ in results] == [0, 0, 0, 0, 0, 0, -100, -200]


def train_in_float16(logdir: Path, data: Path, scale: float, divisor: float) -> Any:
    """Run twelve steps on two ranks, with an initial loss scale that is divided after each skipped step.

    The large weight decay makes gradients of more than 10, which overflow float32 at a scale of 2 ** 127.
    """
    script = Path(__file__).with_name("float16_ranks.py")
    return tiny.train_two_ranks(
        ["python", script, str(scale), str(divisor)],
        logdir,
        data,
        *("TRAIN.STEPS_PER_EPOCH=12", "TRAIN.LR_EPOCH_SCHEDULE=[(1, None)]", "TRAIN.GRADIENT_CLIP=1"),
        *("TRAIN.WEIGHT_DECAY=100", "TRAIN.EVAL_PERIOD=0"),
    )


def test_ranks_skip_the_same_steps_and_stay_equal(tiny_scenes: Path, tmp_path: Path) -> None:
    done = train_in_float16(tmp_path, tiny_scenes, scale=2.0**127, divisor=2.0)
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = [line for line in done.stdout.splitlines() if "skipped: gradients beyond float16" in line]
    assert 1 <= len(skipped) < 12 and "step 1 skipped" in skipped[0]
    first, second = (np.load(tmp_path / f"rank-{rank}.npz") for rank in (0, 1))
    assert first["current_loss_scale"] == 2.0 ** (127 - len(skipped))
    assert first["good_steps"] == 12 - len(skipped)
    for name in first.files:
        assert first[name].tobytes() == second[name].tobytes(), name
        assert np.isfinite(first[name]).all(), name
    assert any(np.abs(first[name]).max() > 0 for name in first.files if name.endswith("/Momentum"))


def test_gradients_that_overflow_at_every_scale_end_all_ranks(tiny_scenes: Path, tmp_path: Path) -> None:
    done = train_in_float16(tmp_path, tiny_scenes, scale=2.0**127, divisor=2.0**127)
    assert done.returncode == 1
    error = "mrc-train: error: gradients are NaN or infinite at step 1 at every loss scale; the last good"
    assert error in done.stderr
    assert "Traceback" not in done.stderr
