"""Which rank sees which image when: one endless stream of samples, dealt to the ranks.

Pass p over the data is a permutation drawn from (seed, p). The sample at global position g is entry
g mod n of pass g // n; step s of rank r takes positions (s * size + r) * batch up to batch more. So every
image comes once a pass over all ranks together, ranks never share a position, and a run resumed at
step s sees exactly what an uninterrupted one would have.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

ORDER_STREAM = 1
"""Second word of the seed of the data order, so that no other random stream repeats it."""


@lru_cache(maxsize=4)  # the workers of a rank are at most around one pass boundary
def pass_order(pass_number: int, num_images: int, seed: int) -> NDArray[np.int64]:
    """Order of the images in one pass: a permutation of 0..num_images-1."""
    return np.random.default_rng([seed, ORDER_STREAM, pass_number]).permutation(num_images)


def sample_at(position: int, num_images: int, seed: int) -> int:
    """Index of the image at a position of the endless stream."""
    pass_number, index = divmod(position, num_images)
    return int(pass_order(pass_number, num_images, seed)[index])


def batch_positions(step: int, rank: int, size: int, batch: int) -> range:
    """Positions of the samples of one rank's batch; ``step`` counts from 0."""
    first = (step * size + rank) * batch
    return range(first, first + batch)


def shard(items: Sequence[T], rank: int, size: int) -> list[T]:
    """This rank's part of a list: disjoint, all together the whole, sizes equal but for one."""
    return list(items[rank::size])
