"""Mixed precision: which one a machine has, and the loss scale that keeps float16's small gradients."""

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
def test_a_gpu_has_float16_and_a_cpu_bfloat16_only_with_amx(
    has_gpu: bool, cpuinfo: str, expected: str
) -> None:
    from mrc_train.precision import mixed_precision

    assert mixed_precision(has_gpu, cpuinfo) == expected


@pytest.fixture
def steps() -> Callable[..., list[tuple[float, float]]]:
    """``steps(slope, count)``: a weight and the loss scale after each step on ``slope`` times the weight.

    The weight begins at 0 and moves by its gradient, which passes through float16 on its way.
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
            after = []
            for _ in range(count):
                session.run(train)
                after.append(tuple(session.run([weight, scale])))
            return after

    return run


def test_a_gradient_too_small_for_float16_arrives(steps: Callable[..., Any]) -> None:
    assert np.float16(1e-8) == 0
    ((weight, _),) = steps(slope=1e-8, count=1)
    assert weight == pytest.approx(-1e-8, rel=1e-3)


def test_steps_beyond_float16_are_left_out_until_the_scale_is_low_enough(steps: Callable[..., Any]) -> None:
    """float16 ends at 65504: 100 times 2 ** 15 is beyond it, 100 times 2 ** 9 is not."""
    after = steps(slope=100, count=8)
    assert [scale for _, scale in after] == [2**14, 2**13, 2**12, 2**11, 2**10, 2**9, 2**9, 2**9]
    assert [weight for weight, _ in after] == [0, 0, 0, 0, 0, 0, -100, -200]


def in_float16(logdir: Path, data: Path, scale: float, divisor: float) -> Any:
    """Twelve steps of two ranks, begun with a loss scale that is divided after each step that is left out.

    The weights' decay gives gradients of tens, which are beyond float32 times 2 ** 127.
    """
    script = Path(__file__).with_name("float16_ranks.py")
    return tiny.train_two_ranks(
        ["python", script, str(scale), str(divisor)],
        logdir,
        data,
        *("TRAIN.STEPS_PER_EPOCH=12", "TRAIN.LR_EPOCH_SCHEDULE=[(1, None)]", "TRAIN.GRADIENT_CLIP=1"),
        *("TRAIN.WEIGHT_DECAY=100", "TRAIN.EVAL_PERIOD=0"),
    )


def test_ranks_leave_out_the_same_steps_and_train_on(tiny_scenes: Path, tmp_path: Path) -> None:
    done = in_float16(tmp_path, tiny_scenes, scale=2.0**127, divisor=2.0)
    assert done.returncode == 0, done.stdout + done.stderr
    left_out = [line for line in done.stdout.splitlines() if "left out: gradients beyond float16" in line]
    assert 1 <= len(left_out) < 12 and "step 1 left out" in left_out[0]
    first, second = (np.load(tmp_path / f"rank-{rank}.npz") for rank in (0, 1))
    assert first["current_loss_scale"] == 2.0 ** (127 - len(left_out))
    assert first["good_steps"] == 12 - len(left_out)
    for name in first.files:
        assert first[name].tobytes() == second[name].tobytes(), name
        assert np.isfinite(first[name]).all(), name
    assert any(np.abs(first[name]).max() > 0 for name in first.files if name.endswith("/Momentum"))


def test_gradients_that_no_scale_makes_finite_end_all_ranks(tiny_scenes: Path, tmp_path: Path) -> None:
    done = in_float16(tmp_path, tiny_scenes, scale=2.0**127, divisor=2.0**127)
    assert done.returncode == 1
    error = (
        "mrc-train: error: gradients are NaN or infinite at step 1, whatever the loss scale; the last good"
    )
    assert error in done.stderr
    assert "Traceback" not in done.stderr
