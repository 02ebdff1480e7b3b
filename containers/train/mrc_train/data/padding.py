"""Aspect-ratio grouping, and the shape that a batch is padded to."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mrc_train.config import Config, Preproc
from mrc_train.data.augment import resized_size
from mrc_train.data.coco import ImageRecord
from mrc_train.data.images import padded

Size = tuple[int, int]
"""Height and width."""


def padding_shapes(preproc: Preproc) -> list[Size]:
    """The shapes of PREPROC.PADDING_SHAPES, landscape and portrait, and a square for mixed batches.

    Smallest first, in multiples of SIZE_MULTIPLE.
    """
    edges = [(padded(min(shape)), padded(max(shape))) for shape in preproc.PADDING_SHAPES]
    longest = max(long for _, long in edges)
    shapes = {*edges, *((long, short) for short, long in edges), (longest, longest)}
    return sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape))


def batch_shape(sizes: Iterable[Size], shapes: Sequence[Size]) -> Size:
    """Height and width of a batch of images.

    The first of ``shapes`` that is large enough for every image; without shapes, the largest height and the
    largest width, rounded up to multiples of SIZE_MULTIPLE.
    """
    height, width = (max(lengths) for lengths in zip(*sizes, strict=True))
    fitting = (shape for shape in shapes if shape[0] >= height and shape[1] >= width)
    return next(fitting) if shapes else (padded(height), padded(width))


def pads_nothing(records: Iterable[ImageRecord], cfg: Config) -> bool:
    """Whether the only padding of every batch is the rounding to SIZE_MULTIPLE.

    True for batches of one image, and when all images have the same size.
    """
    preproc = cfg.PREPROC
    min_short_edge, short_edge = preproc.TRAIN_SHORT_EDGE_SIZE
    sizes = (resized_size(record.height, record.width, short_edge, preproc.MAX_SIZE) for record in records)
    one_shape = (
        min_short_edge == short_edge
        and len({(padded(height), padded(width)) for height, width in sizes}) == 1
    )
    return (cfg.TRAIN.BATCH_SIZE_PER_GPU == 1 or one_shape) and not preproc.PREDEFINED_PADDING


def groups_of(records: Sequence[ImageRecord], preproc: Preproc) -> NDArray[np.int64]:
    """(n,): the group of each image; images of one group have similar shapes.

    The groups are portrait and landscape or, with PREPROC.PREDEFINED_PADDING, the shapes that images are
    padded to.
    """
    if not preproc.PREDEFINED_PADDING:
        return np.array([record.height > record.width for record in records], np.int64)
    shapes = padding_shapes(preproc)
    _, short_edge = preproc.TRAIN_SHORT_EDGE_SIZE
    sizes = (resized_size(record.height, record.width, short_edge, preproc.MAX_SIZE) for record in records)
    # Sorted by aspect ratio, so that the mixed batches at the end of a pass have neighbouring groups.
    by_aspect = sorted(shapes, key=lambda shape: shape[0] / shape[1])
    return np.array([by_aspect.index(batch_shape([size], shapes)) for size in sizes], np.int64)
