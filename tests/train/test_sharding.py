from itertools import chain

import numpy as np
import pytest
from mrc_train.data.sharding import batch_positions, pass_order, sample_at, shard

IMAGES, SEED = 42, 5


def dealt(rank: int, size: int, batch: int, steps: range) -> list[int]:
    positions = chain.from_iterable(batch_positions(step, rank, size, batch) for step in steps)
    return [sample_at(position, IMAGES, SEED) for position in positions]


@pytest.mark.parametrize(("size", "batch"), [(1, 1), (2, 3), (3, 2), (7, 1)])
def test_a_pass_deals_every_image_once_over_all_ranks(size: int, batch: int) -> None:
    steps = range(IMAGES // (size * batch))
    hands = [dealt(rank, size, batch, steps) for rank in range(size)]
    assert sorted(chain.from_iterable(hands)) == list(range(IMAGES))


@pytest.mark.parametrize(("size", "batch"), [(4, 1), (5, 4), (16, 8)])
def test_passes_that_do_not_fill_the_last_step_run_into_the_next(size: int, batch: int) -> None:
    steps = range(3 * IMAGES)
    by_step = [dealt(rank, size, batch, range(step, step + 1)) for step in steps for rank in range(size)]
    stream = list(chain.from_iterable(by_step))
    for first in range(0, len(stream) - IMAGES, IMAGES):
        assert sorted(stream[first : first + IMAGES]) == list(range(IMAGES))


def test_ranks_never_share_a_position() -> None:
    positions = [set(batch_positions(step, rank, 3, 4)) for step in range(10) for rank in range(3)]
    assert len(set.union(*positions)) == sum(len(part) for part in positions) == 10 * 3 * 4


def test_every_pass_has_an_order_of_its_own() -> None:
    orders = [tuple(pass_order(number, IMAGES, SEED)) for number in range(5)]
    assert len(set(orders)) == 5


def test_the_order_is_the_seeds() -> None:
    pass_order.cache_clear()
    first = pass_order(3, IMAGES, SEED).copy()
    pass_order.cache_clear()
    np.testing.assert_array_equal(pass_order(3, IMAGES, SEED), first)
    assert not np.array_equal(pass_order(3, IMAGES, SEED + 1), first)


def test_resuming_goes_on_where_the_run_stopped() -> None:
    whole = dealt(1, 2, 3, range(40))
    assert dealt(1, 2, 3, range(17)) + dealt(1, 2, 3, range(17, 40)) == whole


@pytest.mark.parametrize(
    ("items", "size", "expected"),
    [  # the sizes of detectron2's tests/data/test_sampler.py, InferenceSampler
        (0, 5, [0, 0, 0, 0, 0]),
        (16, 2, [8, 8]),
        (2, 3, [1, 1, 0]),
        (42, 4, [11, 11, 10, 10]),
    ],
)
def test_shards_are_disjoint_and_make_up_the_whole(items: int, size: int, expected: list[int]) -> None:
    shards = [shard(range(items), rank, size) for rank in range(size)]
    assert [len(part) for part in shards] == expected
    assert sorted(chain.from_iterable(shards)) == list(range(items))
