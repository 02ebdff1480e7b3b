import math

import pytest
from mrc_train.config import Train
from mrc_train.errors import ConfigError
from mrc_train.schedule import LearningRate, steps_per_epoch

AWS_SCHEDULE = ((16, 0.1), (20, 0.01), (24, None))


def rates(train: Train, total_batch: int, steps: list[int]) -> list[float]:
    rate = LearningRate.from_config(train, total_batch)
    return [rate(step) for step in steps]


def test_warm_up_and_drops_equal_those_of_detectron2():
    # Detectron2, tests/test_scheduler.py: base 5, warm-up factor 0.001 over 5 steps, drops at 10, 15, 20.
    train = Train(BASE_LR=5, WARMUP=5, WARMUP_INIT_LR=0.005, LR_SCHEDULE=(10, 15, 20, 30))
    assert rates(train, 8, list(range(5))) == pytest.approx([0.005, 1.004, 2.003, 3.002, 4.001])
    assert rates(train, 8, list(range(5, 30))) == pytest.approx(
        [5] * 5 + [0.5] * 5 + [0.05] * 5 + [0.005] * 10
    )


# tensorpack's FasterRCNN, config.py: 1x is [120, 160, 180] thousand, Nx [180N - 120, 180N - 40, 180N].
@pytest.mark.parametrize(
    ("name", "thousands"),
    [
        ("1x", (120, 160, 180)),
        ("2x", (240, 320, 360)),
        ("3x", (420, 500, 540)),
        ("4x", (600, 680, 720)),
        ("5x", (780, 860, 900)),
        ("6x", (960, 1040, 1080)),
        ("7x", (1140, 1220, 1260)),
        ("8x", (1320, 1400, 1440)),
        ("9x", (1500, 1580, 1620)),
    ],
)
def test_named_schedules_equal_those_of_tensorpack(name, thousands):
    rate = LearningRate.from_config(Train(LR_SCHEDULE=name), 8)
    first, second, end = (1000 * steps for steps in thousands)
    assert rate.total_steps == end
    assert [rate(first - 1), rate(first)] == pytest.approx([1e-2, 1e-3])
    assert [rate(second - 1), rate(second), rate(end - 1)] == pytest.approx([1e-3, 1e-4, 1e-4])


@pytest.mark.parametrize(("total_batch", "factor"), [(1, 1 / 8), (2, 1 / 4), (8, 1), (16, 2), (256, 32)])
def test_rates_and_steps_scale_with_the_total_batch_but_warm_up_steps_do_not(total_batch, factor):
    rate = LearningRate.from_config(Train(WARMUP=1000, WARMUP_INIT_LR=1e-4), total_batch)
    assert [rate(0), rate(500), rate(1000)] == pytest.approx([1e-4 * factor, 5.05e-3 * factor, 1e-2 * factor])
    assert rate.total_steps == 180_000 / factor
    assert rate(int(120_000 / factor)) == pytest.approx(1e-3 * factor)


def test_scaled_steps_are_rounded():
    rate = LearningRate.from_config(Train(WARMUP=0, LR_SCHEDULE=(100, 200)), 3)  # 266.7 and 533.3
    assert rate.total_steps == 533
    assert [rate(266), rate(267)] == pytest.approx([3.75e-3, 3.75e-4])


def test_an_epoch_schedule_ends_training_with_its_last_epoch():
    train = Train(LR_EPOCH_SCHEDULE=AWS_SCHEDULE, IMAGES_PER_EPOCH=120_000)
    rate = LearningRate.from_config(train, 32)  # 3750 steps per epoch
    assert (rate.total_steps, rate.epochs) == (90_000, 24)
    assert rates(train, 32, [59_999, 60_000, 74_999, 75_000, 89_999]) == pytest.approx(
        [4e-2, 4e-3, 4e-3, 4e-4, 4e-4]
    )


@pytest.mark.parametrize(
    "schedule",
    [((16, 0.1), (20, 0.01)), ((16, None), (20, None)), ((20, 0.1), (16, None)), ((16, 0.1), (16, None))],
    ids=["no end", "two ends", "descending epochs", "duplicate epoch"],
)
def test_an_epoch_schedule_without_one_end_is_rejected_in_one_line(schedule):
    with pytest.raises(ConfigError, match=r"^TRAIN\.LR_EPOCH_SCHEDULE=\[.*\] must be .*$"):
        LearningRate.from_config(Train(LR_EPOCH_SCHEDULE=schedule), 8)


def test_cosine_decay_is_half_a_cosine_wave_to_zero():
    train = Train(BASE_LR=8, WARMUP=0, LR_SCHEDULE=(600, 1200), LR_DECAY="cosine")
    expected = [8, 8 * (2 + math.sqrt(3)) / 4, 6, 4, 2, 0]
    assert rates(train, 8, [0, 200, 400, 600, 800, 1200]) == pytest.approx(expected)


def test_cosine_decay_starts_with_the_warm_up():
    train = Train(BASE_LR=8, WARMUP=400, WARMUP_INIT_LR=0, LR_SCHEDULE=(1200,), LR_DECAY="cosine")
    assert rates(train, 8, [0, 400]) == pytest.approx([0, 6])
    assert rates(train, 8, [200]) == pytest.approx([4 * (2 + math.sqrt(3)) / 4])


@pytest.mark.parametrize("decay", ["step", "cosine"])
def test_the_rate_is_constant_after_the_last_step(decay):
    train = Train(WARMUP=0, LR_SCHEDULE=(10, 20), LR_DECAY=decay)
    last, later = rates(train, 8, [20, 1000])
    assert last == later


@pytest.mark.parametrize(
    ("images", "total_batch", "steps"), [(None, 8, 500), (120_000, 32, 3750), (14, 8, 2), (14, 64, 1)]
)
def test_images_per_epoch_takes_precedence_over_steps_per_epoch(images, total_batch, steps):
    assert steps_per_epoch(Train(STEPS_PER_EPOCH=500, IMAGES_PER_EPOCH=images), total_batch) == steps


@pytest.mark.parametrize(("total", "epochs"), [(1000, 2), (1001, 3), (499, 1)])
def test_an_incomplete_last_epoch_counts(total, epochs):
    assert LearningRate.from_config(Train(STEPS_PER_EPOCH=500, LR_SCHEDULE=(total,)), 8).epochs == epochs
