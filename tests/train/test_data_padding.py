"""Aspect-ratio grouping and padding of batches."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from coco_files import annotation, image, write_split
from mrc_train.config import Config, parse
from mrc_train.data.coco import ImageRecord, training_records
from mrc_train.data.loader import training_flow
from mrc_train.data.padding import batch_shape, groups_of, padding_shapes, pads_nothing
from mrc_train.errors import ConfigError

AWS = parse(["PREPROC.PREDEFINED_PADDING=True"]).PREPROC
LANDSCAPE, PORTRAIT = (48, 64), (64, 48)


def record(height: int, width: int) -> ImageRecord:
    none = np.zeros(0)
    return ImageRecord(1, Path(), height, width, none.reshape(0, 4), none, none.astype(bool), [])


@pytest.fixture(scope="module")
def both_kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve landscape and eight portrait images, mixed."""
    directory = tmp_path_factory.mktemp("both")
    images = [image(number, *(PORTRAIT if number % 5 < 2 else LANDSCAPE)) for number in range(20)]
    write_split(directory, images, [annotation(number, [4, 4, 30, 30]) for number in range(20)])
    return directory


def config(basedir: Path, *settings: str) -> Config:
    fixed = ["PREPROC.TRAIN_SHORT_EDGE_SIZE=48", "PREPROC.MAX_SIZE=64", "DATA.TRAIN=train2017"]
    return parse([f"DATA.BASEDIR={basedir}", "DATA.NUM_WORKERS=0", *fixed, *settings])


def batches(cfg: Config, count: int, rank: int = 0, size: int = 1) -> list[list[np.ndarray]]:
    return list(islice(training_flow(cfg, training_records(cfg).records, rank, size), count))


@pytest.mark.parametrize("augment", ["none", "dihedral"])
def test_a_batch_is_either_landscape_or_portrait(both_kinds: Path, augment: str) -> None:
    cfg = config(both_kinds, "TRAIN.BATCH_SIZE_PER_GPU=4", f"PREPROC.AUGMENT={augment}")
    sizes = [batch[1].tolist() for batch in batches(cfg, 10)]
    assert all(len({tuple(size) for size in batch}) == 1 for batch in sizes)
    assert {tuple(batch[0]) for batch in sizes} == {LANDSCAPE, PORTRAIT}


def test_all_ranks_together_use_every_image_once_a_pass(both_kinds: Path) -> None:
    cfg = config(both_kinds, "TRAIN.BATCH_SIZE_PER_GPU=2")
    dealt = [batches(cfg, 10, rank, 2) for rank in (0, 1)]
    passes = [
        np.concatenate([batch[-1] for share in dealt for batch in share[first : first + 5]])
        for first in (0, 5)
    ]
    for ids in passes:
        assert sorted(ids) == list(range(20))
    assert passes[0].tolist() != passes[1].tolist()


def test_the_shapes_are_those_of_the_aws_flavour_in_multiples_of_32() -> None:
    landscape = [(800, 1024), (800, 1216), (800, 1376)]
    portrait = [(width, height) for height, width in landscape]
    assert set(padding_shapes(AWS)) == {*landscape, *portrait, (1376, 1376)}


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ([(800, 800)], (800, 1024)),
        ([(800, 1024), (700, 900)], (800, 1024)),
        ([(800, 1025)], (800, 1216)),
        ([(800, 1333)], (800, 1376)),
        ([(1067, 800), (1200, 800)], (1216, 800)),
        ([(800, 1067), (1067, 800)], (1376, 1376)),
    ],
)
def test_a_batch_is_padded_to_the_smallest_shape_that_fits(
    sizes: list[tuple[int, int]], shape: tuple[int, int]
) -> None:
    assert batch_shape(sizes, padding_shapes(AWS)) == shape


def test_without_fixed_shapes_a_batch_is_as_large_as_its_largest_image() -> None:
    assert batch_shape([(50, 70), (40, 97)], []) == (64, 128)


def test_images_padded_to_the_same_shape_are_in_one_group() -> None:
    landscape, same, portrait, wider, far_wider = (480, 600), (960, 1200), (600, 480), (427, 640), (300, 640)
    groups = groups_of(
        [record(*size) for size in (landscape, same, portrait, wider, far_wider)], AWS
    ).tolist()
    assert groups[0] == groups[1]
    assert len({groups[0], groups[2], groups[3], groups[4]}) == 4


def test_fixed_shapes_are_the_only_ones_that_occur(both_kinds: Path) -> None:
    fixed = ("PREPROC.PREDEFINED_PADDING=True", "PREPROC.PADDING_SHAPES=[(64, 96), (64, 128)]")
    scales = ("PREPROC.TRAIN_SHORT_EDGE_SIZE=(32, 64)", "PREPROC.MAX_SIZE=128", "PREPROC.AUGMENT=dihedral")
    stream = batches(config(both_kinds, "TRAIN.BATCH_SIZE_PER_GPU=3", *fixed, *scales), 40)
    shapes = {batch[0].shape[1:3] for batch in stream}
    assert {(64, 96), (96, 64)} <= shapes <= {(64, 96), (96, 64), (64, 128), (128, 64), (128, 128)}
    for images, sizes, _, _, masks, _ in stream:
        assert masks.shape[2:] == (images.shape[1], images.shape[2] // 8)
        assert (sizes <= images.shape[1:3]).all()


def test_shapes_too_small_for_an_image_are_rejected() -> None:
    message = r"PREPROC.PADDING_SHAPES=\[\[800, 1000\]\] has no shape for images of 800 by 1333 pixels"
    with pytest.raises(ConfigError, match=message):
        parse(["PREPROC.PREDEFINED_PADDING=True", "PREPROC.PADDING_SHAPES=[(800, 1000)]"])


@pytest.mark.parametrize(
    ("sizes", "settings", "nothing"),
    [
        ([(128, 128), (100, 100)], (), True),
        ([(480, 640), (480, 630)], (), True),
        ([(480, 640), (640, 480)], (), False),
        ([(480, 640), (480, 600)], (), False),
        ([(480, 640), (640, 480)], ("TRAIN.BATCH_SIZE_PER_GPU=1",), True),
        ([(128, 128)], ("PREPROC.TRAIN_SHORT_EDGE_SIZE=(96, 128)",), False),
        ([(128, 128)], ("PREPROC.PREDEFINED_PADDING=True", "TRAIN.BATCH_SIZE_PER_GPU=1"), False),
    ],
)
def test_images_of_one_size_and_batches_of_one_image_need_no_padding(
    sizes: list[tuple[int, int]], settings: tuple[str, ...], nothing: bool
) -> None:
    fixed = ("TRAIN.BATCH_SIZE_PER_GPU=4", "PREPROC.TRAIN_SHORT_EDGE_SIZE=128", "PREPROC.MAX_SIZE=256")
    assert pads_nothing([record(*size) for size in sizes], parse([*fixed, *settings])) == nothing
