from itertools import chain

import numpy as np
import pytest
from mrc_train.data.sharding import DataOrder, batch_positions, shard

IMAGES, SEED = 42, 5
ONE_GROUP = np.zeros(IMAGES, np.int64)


def dealt(rank: int, size: int, batch: int, steps: range) -> list[int]:
    positions = chain.from_iterable(batch_positions(step, rank, size, batch) for step in steps)
    order = DataOrder(ONE_GROUP, SEED, batch)
    return [order[position] for position in positions]


@pytest.mark.parametrize(("size", "batch"), [(1, 1), (2, 3), (3, 2), (7, 1)])
def test_a_pass_deals_every_image_once_over_all_ranks(size: int, batch: int) -> None:
    steps = range(IMAGES // (size * batch))
    shares = [dealt(rank, size, batch, steps) for rank in range(size)]
    assert sorted(chain.from_iterable(shares)) == list(range(IMAGES))


@pytest.mark.parametrize(("size", "batch"), [(4, 1), (5, 4), (16, 8)])
def test_a_pass_that_does_not_fill_its_last_step_continues_in_the_next(size: int, batch: int) -> None:
    steps = range(3 * IMAGES)
    by_step = [dealt(rank, size, batch, range(step, step + 1)) for step in steps for rank in range(size)]
    stream = list(chain.from_iterable(by_step))
    for first in range(0, len(stream) - IMAGES, IMAGES):
        assert sorted(stream[first : first + IMAGES]) == list(range(IMAGES))


def test_ranks_never_share_a_position() -> None:
    positions = [set(batch_positions(step, rank, 3, 4)) for step in range(10) for rank in range(3)]
    assert len(set.union(*positions)) == sum(len(part) for part in positions) == 10 * 3 * 4


def one_pass(groups: np.ndarray, number: int, batch: int = 1, seed: int = SEED) -> list[int]:
    order, total = DataOrder(groups, seed, batch), len(groups)
    return [order[position] for position in range(number * total, (number + 1) * total)]


def test_every_pass_has_a_different_order() -> None:
    assert len({tuple(one_pass(ONE_GROUP, number)) for number in range(5)}) == 5


def test_the_seed_determines_the_order() -> None:
    first = one_pass(ONE_GROUP, 3)
    assert one_pass(ONE_GROUP, 3) == first
    assert one_pass(ONE_GROUP, 3, seed=SEED + 1) != first


def test_a_resumed_run_continues_where_it_stopped() -> None:
    uninterrupted = dealt(1, 2, 3, range(40))
    assert dealt(1, 2, 3, range(17)) + dealt(1, 2, 3, range(17, 40)) == uninterrupted


@pytest.mark.parametrize(
    ("items", "size", "expected"),
    [  # the sizes of detectron2's tests/data/test_sampler.py, InferenceSampler
        (0, 5, [0, 0, 0, 0, 0]),
        (16, 2, [8, 8]),
        (2, 3, [1, 1, 0]),
        (42, 4, [11, 11, 10, 10]),
    ],
)
def test_shards_are_disjoint_and_cover_all_items(items: int, size: int, expected: list[int]) -> None:
    shards = [shard(range(items), rank, size) for rank in range(size)]
    assert [len(part) for part in shards] == expected
    assert sorted(chain.from_iterable(shards)) == list(range(items))


THREE_GROUPS = np.random.default_rng(0).choice(3, 103, p=[0.6, 0.3, 0.1])


@pytest.mark.parametrize("batch", [2, 4, 8])
def test_all_but_a_few_batches_of_a_pass_have_images_of_one_group(batch: int) -> None:
    order, passes = DataOrder(THREE_GROUPS, SEED, batch), 8
    stream = [order[position] for position in range(passes * len(THREE_GROUPS) // batch * batch)]
    batches = np.array(stream).reshape(-1, batch)
    mixed = [len(set(THREE_GROUPS[images])) > 1 for images in batches]
    # Two where the remaining images of three groups meet, and one that two passes share.
    assert sum(mixed) <= 3 * passes
    unsorted = np.array([np.random.default_rng(p).permutation(103) for p in range(passes)]).ravel()
    plain = THREE_GROUPS[unsorted[: batches.size].reshape(-1, batch)]
    assert sum(mixed) < sum(len(set(groups)) > 1 for groups in plain)


@pytest.mark.parametrize("batch", [1, 2, 3, 8, 200])
def test_with_groups_every_image_is_used_once_a_pass(batch: int) -> None:
    for number in range(5):
        assert sorted(one_pass(THREE_GROUPS, number, batch)) == list(range(103))


def test_images_share_batches_with_different_images_in_every_pass() -> None:
    order = DataOrder(THREE_GROUPS[:102], SEED, 2)
    pairs = [{frozenset(order[p * 102 + i + j] for j in (0, 1)) for i in range(0, 102, 2)} for p in range(4)]
    assert len(set.union(*pairs)) > 0.9 * sum(map(len, pairs))


def test_with_one_group_the_order_is_the_permutation() -> None:
    assert one_pass(ONE_GROUP, 2, batch=4) == one_pass(ONE_GROUP, 2, batch=1)
