"""The training stream: batches that depend only on the seed, the step, the rank and the data."""

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mrc_train.config import Config
from mrc_train.data.annotations import DataError
from mrc_train.data.augment import draw_transform
from mrc_train.data.coco import ImageRecord
from mrc_train.data.decoding import UnreadableImage
from mrc_train.data.padding import Size, batch_shape, groups_of, padding_shapes
from mrc_train.data.sharding import DataOrder, batch_positions
from mrc_train.tfgraph import tf  # noqa: F401  tensorpack imports TensorFlow and needs it prepared

from tensorpack.dataflow import DataFlow  # isort: skip

log = logging.getLogger("mrc_train")

AUGMENTATION_STREAM = 2
"""Second word of the seed of augmentation, which keeps it independent of the other random streams."""

BATCH_STREAM = 3
"""The same for random choices that all images of a batch share."""

MAX_UNREADABLE_IN_A_ROW = 64
"""So many unreadable files mean that the file system is no longer available."""

PREFETCHED_PER_WORKER = 2


class Sample(NamedTuple):
    """One augmented image with its n objects; ``training_flow`` describes the shapes."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    masks: NDArray[np.uint8] | None
    image_id: int


class TrainingFlow(DataFlow):
    """An endless stream of batches, one a step, in the format that ``training_flow`` documents.

    Attributes:
        unreadable: the reasons why images were replaced so far, by path.
        error: the exception that ended the stream, if any. tensorpack's input thread only logs it and ends
            training as if it were finished.
    """

    def __init__(
        self, cfg: Config, records: Sequence[ImageRecord], rank: int, size: int, start_step: int
    ) -> None:
        if not records:
            raise DataError("there are no images to train on")
        self._cfg, self._records = cfg, records
        self._rank, self._size, self._start_step = rank, size, start_step
        batch = cfg.TRAIN.BATCH_SIZE_PER_GPU
        self._order = DataOrder(groups_of(records, cfg.PREPROC), cfg.TRAIN.SEED, batch)
        self._shapes = padding_shapes(cfg.PREPROC) if cfg.PREPROC.PREDEFINED_PADDING else []
        self._lock = threading.Lock()
        self.unreadable: dict[str, str] = {}
        self.error: BaseException | None = None
        cv2.setNumThreads(1)  # the workers are the parallelism; ranks share the machine

    def __iter__(self) -> Iterator[list[NDArray[Any]]]:
        try:
            yield from self._batches()
        except Exception as error:
            self.error = error
            raise

    def _batches(self) -> Iterator[list[NDArray[Any]]]:
        workers = self._cfg.DATA.NUM_WORKERS
        if workers == 0:
            yield from map(self._batch, count(self._start_step))
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="mrc-data")
        pending: deque[Future[list[NDArray[Any]]]] = deque()
        try:
            for step in count(self._start_step):
                pending.append(pool.submit(self._batch, step))
                if len(pending) > PREFETCHED_PER_WORKER * workers:
                    yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _batch(self, step: int) -> list[NDArray[Any]]:
        positions = batch_positions(step, self._rank, self._size, self._cfg.TRAIN.BATCH_SIZE_PER_GPU)
        # Drawn once a batch: landscape and transposed landscape images in one batch need much padding.
        rng = np.random.default_rng([self._cfg.TRAIN.SEED, BATCH_STREAM, positions.start])
        transpose = bool(rng.integers(2))
        return collate([self._sample(position, transpose) for position in positions], self._shapes)

    def _sample(self, position: int, transpose: bool) -> Sample:
        """The sample at a position; an unreadable image is replaced by the next readable one."""
        seed, total = self._cfg.TRAIN.SEED, len(self._records)
        first = self._order[position]
        attempts = min(total, MAX_UNREADABLE_IN_A_ROW)
        for offset in range(attempts):
            record = self._records[(first + offset) % total]
            try:
                image = record.read()
            except UnreadableImage as error:
                self._record_unreadable(record, str(error))
                continue
            rng = np.random.default_rng([seed, AUGMENTATION_STREAM, position])
            return augmented(image, record, rng, self._cfg, transpose)
        raise DataError(
            f"{attempts} images in a row cannot be read; the last one: {self.unreadable[str(record.path)]}"
        )

    def _record_unreadable(self, record: ImageRecord, reason: str) -> None:
        with self._lock:
            if str(record.path) in self.unreadable:
                return
            self.unreadable[str(record.path)] = reason
            count_so_far = len(self.unreadable)
        log.warning("%s; another image takes its place (%d so far)", reason, count_so_far)


def training_flow(
    cfg: Config, records: Sequence[ImageRecord], rank: int, size: int, start_step: int = 0
) -> TrainingFlow:
    """The batches of one of ``size`` ranks, from the 0-based ``start_step`` on.

    A batch has B images of similar aspect ratio with at most G objects each (G >= 1), padded to H x W (see
    data.padding). It is the list

    - image uint8 (B, H, W, 3), BGR, zero-padded at the bottom and the right
    - image_size float32 (B, 2), height and width without padding
    - gt_boxes float32 (B, G, 4), x1, y1, x2, y2 in pixels of ``image``
    - gt_labels int32 (B, G): 1..C, -1 crowd, 0 padding
    - gt_masks uint8 (B, G, H, W/8): bitmaps packed along the width, with bit 7 leftmost; zero for crowds and
      padding; present only with MODE_MASK
    - image_id int64 (B,)
    """
    return TrainingFlow(cfg, records, rank, size, start_step)


def augmented(
    image: NDArray[np.uint8], record: ImageRecord, rng: np.random.Generator, cfg: Config, transpose: bool
) -> Sample:
    """An image and its objects under a random transform."""
    transform = draw_transform(rng, record.height, record.width, cfg.PREPROC, transpose)
    masks = None
    if cfg.MODE_MASK:
        masks = np.zeros((len(record.boxes), *transform.size), np.uint8)
        for mask, segmentation, crowd in zip(masks, record.segmentations, record.crowd, strict=True):
            if not crowd:
                mask[:] = transform.mask(segmentation)
    labels = np.where(record.crowd, np.int32(-1), record.labels)
    return Sample(transform.image(image), transform.boxes(record.boxes), labels, masks, record.image_id)


def collate(samples: Sequence[Sample], shapes: Sequence[Size] = ()) -> list[NDArray[Any]]:
    """Samples padded to a common shape, one of ``shapes`` if given, as a batch of ``training_flow``."""
    batch = len(samples)
    sizes = np.array([sample.image.shape[:2] for sample in samples])
    height, width = batch_shape(sizes.tolist(), shapes)
    objects = max(1, *(len(sample.labels) for sample in samples))
    images = np.zeros((batch, height, width, 3), np.uint8)
    boxes = np.zeros((batch, objects, 4), np.float32)
    labels = np.zeros((batch, objects), np.int32)
    masks = np.zeros((batch, objects, height, width // 8), np.uint8)
    for index, sample in enumerate(samples):
        h, w = sample.image.shape[:2]
        n = len(sample.labels)
        images[index, :h, :w] = sample.image
        boxes[index, :n] = sample.boxes
        labels[index, :n] = sample.labels
        if sample.masks is not None:
            masks[index, :n, :h, : -(-w // 8)] = np.packbits(sample.masks, axis=-1)
    ids = np.array([sample.image_id for sample in samples], np.int64)
    with_masks = [masks] if samples[0].masks is not None else []
    return [images, sizes.astype(np.float32), boxes, labels, *with_masks, ids]
