"""Which rank sees which image when: one endless stream of samples, dealt to the ranks.

Pass p over the data is a permutation drawn from (seed, p). The sample at global position g is entry
g mod n of pass g // n; batch s of rank r takes positions (s * size + r) * batch up to batch more. So every
image comes once a pass over all ranks together, ranks never share a position, and a run resumed at
batch s sees exactly what an uninterrupted one would have.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

ORDER_STREAM = 1
"""Second word of the seed of the data order, so that no other random stream repeats it."""


class DataOrder:
    """The endless stream of image indices, with like images in one batch.

    Args:
        groups: int (n,), the group of each image. A batch takes images of one group, the others of a group
            wait for its next batch; at the end of a pass what is left of all groups comes in the groups'
            order, so that few batches are mixed. With one group the order is the permutation itself.
        seed: decides the permutations.
        batch: images of a batch.
    """

    def __init__(self, groups: NDArray[np.int64], seed: int, batch: int) -> None:
        self._groups = groups
        self._seed = seed
        self._batch = batch
        self._pass_order = lru_cache(maxsize=4)(self._ordered)  # workers are around one pass boundary

    def __getitem__(self, position: int) -> int:
        """Index of the image at a position of the stream."""
        number, index = divmod(position, len(self._groups))
        return int(self._pass_order(number)[index])

    def _ordered(self, number: int) -> NDArray[np.int64]:
        """Order of the images in one pass: a permutation of 0..n-1."""
        total = len(self._groups)
        drawn = np.random.default_rng([self._seed, ORDER_STREAM, number]).permutation(total)
        # The first images of a pass fill the batch that the pass before has begun.
        begun = -number * total % self._batch
        order: list[int] = drawn[:begun].tolist()
        waiting: dict[int, list[int]] = {}
        for index in drawn[begun:].tolist():
            like = waiting.setdefault(int(self._groups[index]), [])
            like.append(index)
            if len(like) == self._batch:
                order += like
                like.clear()
        for group in sorted(waiting):
            order += waiting[group]
        return np.array(order, np.int64)


def batch_positions(step: int, rank: int, size: int, batch: int) -> range:
    """Positions of the samples of one rank's batch; ``step`` counts batches from 0."""
    first = (step * size + rank) * batch
    return range(first, first + batch)


def shard(items: Sequence[T], rank: int, size: int) -> list[T]:
    """This rank's part of a list: disjoint, all together the whole, sizes equal but for one."""
    return list(items[rank::size])
