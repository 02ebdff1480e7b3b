import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mrc_train.data.categories import Categories
from mrc_train.data.coco import ImageRecord
from mrc_train.data.masks import encode_rle
from mrc_train.drawing import (
    MIN_EDGE,
    class_colour,
    detections_beside_ground_truth,
    draw_detections,
    draw_ground_truth,
    grid,
    side_by_side,
)
from mrc_train.evaluation.detections import Detections

NAMES = Categories(("cup", "pan"), (1, 2))
GRAY = np.full((600, 800, 3), 128, np.uint8)


def one(
    box: list[float], label: int = 1, score: float = 0.9, shape: tuple[int, int] = (600, 800)
) -> Detections:
    bitmap = np.zeros(shape)
    bitmap[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = 1
    return Detections(
        np.array([box], np.float32),
        np.array([score], np.float32),
        np.array([label], np.int32),
        [encode_rle(bitmap)],
    )


def record(crowd: bool = False, masks: bool = True) -> ImageRecord:
    return ImageRecord(
        image_id=1,
        path=Path("nowhere.png"),
        height=600,
        width=800,
        boxes=np.array([[100, 200, 300, 400]], np.float32),
        labels=np.array([2], np.int32),
        crowd=np.array([crowd]),
        segmentations=[[np.array([100.0, 200, 300, 200, 300, 400, 100, 400])]] if masks else [],
    )


def same_colour(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= 30)


def test_a_mask_tints_its_pixels_and_no_others() -> None:
    drawn = draw_detections(GRAY, one([300, 200, 500, 400]), NAMES, 0.5)
    expected = 0.6 * 128 + 0.4 * np.array(class_colour(1))
    np.testing.assert_allclose(drawn[220:380, 320:480].reshape(-1, 3), [expected] * 160 * 160, atol=1)
    np.testing.assert_array_equal(drawn[420:], GRAY[420:])
    np.testing.assert_array_equal(drawn[:, 520:], GRAY[:, 520:])


def test_a_box_is_drawn_in_the_colour_of_its_class() -> None:
    boxes_only = one([300, 200, 500, 400], label=2)
    boxes_only = Detections(boxes_only.boxes, boxes_only.scores, boxes_only.labels)
    drawn = draw_detections(GRAY, boxes_only, NAMES, 0.5)
    for x, y in ((500, 300), (300, 300), (400, 400)):
        assert same_colour(drawn[y, x], class_colour(2))
    np.testing.assert_array_equal(drawn[230:380, 330:480], GRAY[230:380, 330:480])


def test_the_input_image_is_not_modified() -> None:
    image = GRAY.copy()
    draw_detections(image, one([300, 200, 500, 400]), NAMES, 0.5)
    np.testing.assert_array_equal(image, GRAY)


def test_detections_below_the_threshold_are_not_drawn() -> None:
    drawn = draw_detections(GRAY, one([300, 200, 500, 400], score=0.49), NAMES, 0.5)
    np.testing.assert_array_equal(drawn, GRAY)


def test_without_detections_the_image_is_unchanged() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
    np.testing.assert_array_equal(draw_detections(GRAY, nothing, NAMES, 0.5), GRAY)


@pytest.mark.parametrize(("height", "width"), [(128, 128), (100, 300), (1, 500), (7, 3)])
def test_a_small_image_is_enlarged_by_an_integer_factor(height: int, width: int) -> None:
    box = [0.0, 0.0, float(width), float(height)]
    drawn = draw_detections(
        np.zeros((height, width, 3), np.uint8), one(box, shape=(height, width)), NAMES, 0.5
    )
    factor = drawn.shape[0] // height
    assert drawn.shape == (height * factor, width * factor, 3)
    assert MIN_EDGE <= max(drawn.shape) < MIN_EDGE + max(height, width)


@pytest.mark.parametrize("box", [[0, 0, 30, 20], [770, 0, 800, 20], [0, 580, 30, 600], [770, 580, 800, 600]])
def test_a_caption_stays_in_the_image_at_every_corner(box: list[float]) -> None:
    centre = draw_detections(GRAY, one([400, 300, 430, 320]), NAMES, 0.5)
    corner = draw_detections(GRAY, one(box), NAMES, 0.5)
    areas = [np.all(drawn == class_colour(1), axis=-1).sum() for drawn in (centre, corner)]
    assert areas[1] > 0.75 * areas[0]  # most pixels of the pure colour are the background of the caption


def test_captions_of_objects_in_one_place_do_not_cover_each_other() -> None:
    first, second = one([300, 200, 500, 400], 1), one([300, 200, 500, 400], 2)
    both = Detections(
        np.concatenate([first.boxes, second.boxes]),
        np.array([0.9, 0.8], np.float32),
        np.array([1, 2], np.int32),
    )
    drawn = draw_detections(GRAY, both, NAMES, 0.5)
    caption_rows = [
        np.flatnonzero(np.all(drawn[:, 330:340] == class_colour(label), axis=-1).sum(axis=1) > 5)
        for label in (1, 2)
    ]
    assert min(len(rows) for rows in caption_rows) > 8


def test_neighbouring_classes_have_colours_that_differ() -> None:
    colours = np.array([class_colour(label) for label in range(1, 12)], float)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert distances[~np.eye(len(colours), dtype=bool)].min() > 40
    assert np.diagonal(distances, offset=1).min() > 150


def test_characters_missing_from_the_font_become_question_marks() -> None:
    shape = draw_detections(GRAY, one([300, 200, 500, 400]), Categories(("löffel", "x"), (1, 2)), 0.5).shape
    assert shape == GRAY.shape


@pytest.mark.parametrize("masks", [True, False])
def test_ground_truth_is_drawn_with_or_without_masks(masks: bool) -> None:
    drawn = draw_ground_truth(GRAY, record(masks=masks), NAMES)
    assert same_colour(drawn[300, 300], class_colour(2))
    assert np.array_equal(drawn[300, 200], GRAY[0, 0]) != masks


def test_a_crowd_has_a_longer_caption() -> None:
    plain, crowd = (draw_ground_truth(GRAY, record(crowd=crowd), NAMES) for crowd in (False, True))
    pure = [int(np.all(drawn == class_colour(2), axis=-1).sum()) for drawn in (plain, crowd)]
    assert pure[1] > pure[0]


def test_detections_are_on_the_left_and_the_ground_truth_on_the_right() -> None:
    drawn = detections_beside_ground_truth(GRAY, one([500, 300, 700, 500]), record(), NAMES, 0.5)
    band = drawn.shape[0] - 600
    assert 20 < band < 80 and drawn.shape[1] > 1600
    left, right = drawn[band:, :800], drawn[band:, -800:]
    np.testing.assert_array_equal(left, draw_detections(GRAY, one([500, 300, 700, 500]), NAMES, 0.5))
    np.testing.assert_array_equal(right, draw_ground_truth(GRAY, record(), NAMES))
    assert drawn[:band, :400].max() > 200  # letters


def test_images_of_several_sizes_make_a_grid() -> None:
    images = [np.full((height, 50, 3), 10 * height, np.uint8) for height in (10, 20, 15)]
    sheet = grid(images, columns=2)
    assert sheet.shape == (20 + 8 + 20, 50 + 8 + 50, 3)
    for height in (10, 20, 15):
        assert (sheet == 10 * height).all(axis=-1).sum() == height * 50


def test_a_row_has_a_heading_for_each_image() -> None:
    row = side_by_side([("before", GRAY), ("after", GRAY)])
    assert row.shape[0] > 600 and row.shape[1] == 800 + 8 + 800


MEMORY = """
import resource
import numpy as np
from mrc_train.data.categories import Categories
from mrc_train.drawing import draw_detections
from mrc_train.evaluation.detections import Detections

height, width, count = 2000, 3000, 20
image = np.zeros((height, width, 3), np.uint8)
boxes = np.tile(np.array([100, 100, 2900, 1900], np.float32), (count, 1))
detections = Detections(
    boxes, np.full(count, 0.9, np.float32), np.ones(count, np.int32), np.ones((count, 28, 28), np.float32)
)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
draw_detections(image, detections.first(%d), Categories(("disc",), (1,)), 0.5)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_the_memory_of_a_drawing_does_not_grow_with_the_number_of_detections() -> None:
    kibibytes = [
        int(subprocess.run([sys.executable, "-c", MEMORY % count], capture_output=True, check=True).stdout)
        for count in (1, 20)
    ]
    assert kibibytes[1] - kibibytes[0] < 5 * 2000 * 3000 / 1024  # five bitmaps; all of them would be twenty
