"""Distribution of the images to ranks and steps: one endless stream of samples, dealt to the ranks in turn.

Pass p over the data is a permutation drawn from (seed, p). The sample at global position g is entry
g mod n of pass g // n; batch s of rank r has the ``batch`` positions from (s * size + r) * batch on. So all
ranks together use every image once a pass, no two ranks share a position, and a run that resumes at batch s
gets exactly the samples of an uninterrupted one.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

ORDER_STREAM = 1
"""Second word of the seed of the data order, which keeps it independent of the other random streams."""


class DataOrder:
    """The endless stream of image indices, with images of similar shape in one batch.

    Args:
        groups: int (n,), the group of each image. A batch has images of one group; an image waits until its
            group has enough for a batch. At the end of a pass the waiting images follow in the order of
            their groups, so that few batches are mixed. With one group the order is the permutation itself.
        seed: determines the permutations.
        batch: number of images in a batch.
    """

    def __init__(self, groups: NDArray[np.int64], seed: int, batch: int) -> None:
        self._groups = groups
        self._seed = seed
        self._batch = batch
        self._pass_order = lru_cache(maxsize=4)(self._ordered)  # workers only ever straddle one pass boundary

    def __getitem__(self, position: int) -> int:
        """Index of the image at a position of the stream."""
        number, index = divmod(position, len(self._groups))
        return int(self._pass_order(number)[index])

    def _ordered(self, number: int) -> NDArray[np.int64]:
        """Order of the images in one pass: a permutation of 0..n-1."""
        total = len(self._groups)
        drawn = np.random.default_rng([self._seed, ORDER_STREAM, number]).permutation(total)
        # The first images of a pass fill up the last batch of the previous pass.
        carried = -number * total % self._batch
        order: list[int] = drawn[:carried].tolist()
        waiting: dict[int, list[int]] = {}
        for index in drawn[carried:].tolist():
            group_images = waiting.setdefault(int(self._groups[index]), [])
            group_images.append(index)
            if len(group_images) == self._batch:
                order += group_images
                group_images.clear()
        for group in sorted(waiting):
            order += waiting[group]
        return np.array(order, np.int64)


def batch_positions(step: int, rank: int, size: int, batch: int) -> range:
    """Positions in the stream of one rank's batch; ``step`` counts batches from 0."""
    first = (step * size + rank) * batch
    return range(first, first + batch)


def shard(items: Sequence[T], rank: int, size: int) -> list[T]:
    """A rank's part of a list. The parts are disjoint, cover the list and differ in length by at most 1."""
    return list(items[rank::size])
