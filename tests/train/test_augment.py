from itertools import product

import cv2
import numpy as np
import pytest
from mrc_train.config import parse
from mrc_train.data.augment import Transform, draw_transform, resized_size
from mrc_train.data.masks import encode_rle
from mrc_train.scenes import outline

SYMMETRIES = [
    {"flip_x": flip_x, "flip_y": flip_y, "transpose": transpose}
    for flip_x, flip_y, transpose in product([False, True], repeat=3)
]
POLYGON = outline(4, np.array([90.5, 75.25]), 60.0, 0.3).reshape(-1)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (480, 640, (800, 1067)),
        (640, 427, (1199, 800)),
        (300, 1000, (400, 1333)),
        (1000, 300, (1333, 400)),
        (800, 1333, (800, 1333)),
        (1, 500, (3, 1333)),
        (1, 5000, (1, 1333)),
        (1, 1, (800, 800)),
    ],
)
def test_the_short_edge_becomes_800_unless_the_long_edge_would_exceed_1333(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    assert resized_size(height, width, 800, 1333) == expected


@pytest.mark.parametrize("axis", ["flip_x", "flip_y", "transpose"])
def test_mirroring_twice_changes_nothing(axis: str) -> None:
    rng = np.random.default_rng(0)
    edge = 40 if axis == "transpose" else 60
    mirror = Transform(40, edge, 40, edge, **{axis: True})
    image = rng.integers(0, 256, (40, edge, 3), np.uint8)
    boxes = np.array([[1.5, 2, 30, 39.25], [0, 0, edge, 40]], np.float32)
    np.testing.assert_array_equal(mirror.image(mirror.image(image)), image)
    np.testing.assert_array_equal(mirror.bitmap(mirror.bitmap(image[..., 0] & 1)), image[..., 0] & 1)
    np.testing.assert_array_equal(mirror.boxes(mirror.boxes(boxes)), boxes)
    np.testing.assert_allclose(mirror.polygons(mirror.polygons([POLYGON]))[0], POLYGON, atol=1e-12)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("size", [(40, 50), (60, 75), (25, 31)])
def test_a_transformed_box_still_encloses_the_drawn_rectangle(
    symmetry: dict[str, bool], size: tuple[int, int]
) -> None:
    image = np.zeros((40, 50, 3), np.uint8)
    image[10:30, 5:20] = 255
    transform = Transform(40, 50, *size, **symmetry)

    moved = transform.image(image)
    (box,) = transform.boxes(np.array([[5, 10, 20, 30]], np.float32))

    assert moved.shape[:2] == transform.size
    x, y, width, height = cv2.boundingRect((moved[..., 0] >= 128).astype(np.uint8))
    np.testing.assert_allclose(box, [x, y, x + width, y + height], atol=0.5)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("size", [(160, 200), (240, 300), (100, 125)])
def test_polygons_and_run_lengths_are_transformed_alike(
    symmetry: dict[str, bool], size: tuple[int, int]
) -> None:
    transform = Transform(160, 200, *size, **symmetry)
    straight = Transform(160, 200, 160, 200)
    from_polygon = transform.mask([POLYGON])
    from_runs = transform.mask(encode_rle(straight.mask([POLYGON])))
    assert from_polygon.shape == from_runs.shape == transform.size
    assert (from_polygon & from_runs).sum() / (from_polygon | from_runs).sum() > 0.93


def drawn(augment: str, short_edge: str = "(40, 40)") -> list[Transform]:
    settings = [f"PREPROC.AUGMENT={augment}", f"PREPROC.TRAIN_SHORT_EDGE_SIZE={short_edge}"]
    preproc = parse(settings).PREPROC
    rngs = [np.random.default_rng(seed) for seed in range(300)]
    return [draw_transform(rng, 40, 60, preproc, bool(rng.integers(2))) for rng in rngs]


@pytest.mark.parametrize(
    ("augment", "expected"),
    [
        ("none", {(False, False, False)}),
        ("flip", {(False, False, False), (True, False, False)}),
        ("dihedral", set(product([False, True], repeat=3))),
    ],
)
def test_each_kind_of_augmentation_draws_its_symmetries(
    augment: str, expected: set[tuple[bool, ...]]
) -> None:
    assert {(t.flip_x, t.flip_y, t.transpose) for t in drawn(augment)} == expected


def test_short_edges_are_drawn_from_the_whole_range() -> None:
    assert {transform.height for transform in drawn("none", "(40, 44)")} == {40, 41, 42, 43, 44}


def test_the_same_seed_draws_the_same_transform() -> None:
    assert drawn("dihedral", "(40, 60)") == drawn("dihedral", "(40, 60)")
