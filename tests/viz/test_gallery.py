"""Sheets of detections beside ground truth, with a detector whose detections the test chooses."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mrc_train.config import Config
from mrc_train.data.coco import ImageRecord, Split, load_split
from mrc_train.data.masks import encode_rle, segmentation_to_mask
from mrc_train.drawing import Image
from mrc_train.evaluation.detections import Detections
from mrc_viz.gallery import detection_sheet, encode_png, sample_images

SIZE = 480
GAP = 8
"""Between the images of a pair, in pixels; the margin around a pair is as wide."""


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Six scenes of 480 x 480 pixels, a size that is drawn without scaling."""
    from mrc_train import scenes

    directory = tmp_path_factory.mktemp("scenes")
    scenes.main([str(directory), "--train", "1", "--val", "6", "--size", str(SIZE)])
    return load_split(directory, "val2017")


def detector(split: Split, detections: Callable[[ImageRecord], Detections]) -> SimpleNamespace:
    """A Predictor that recognizes each image by its pixels."""
    by_image = {record.read().tobytes(): record for record in split.records}

    class Detector(SimpleNamespace):
        def __call__(self, image: Image) -> Detections:
            return detections(by_image[image.tobytes()])

    return Detector(cfg=Config(), categories=split.categories)


def ground_truth(record: ImageRecord, score: float = 1.0) -> Detections:
    masks = [
        encode_rle(segmentation_to_mask(segmentation, SIZE, SIZE)) for segmentation in record.segmentations
    ]
    return Detections(record.boxes, np.full(len(record.boxes), score, np.float32), record.labels, masks)


def panels(sheet: Image) -> tuple[Image, Image]:
    """Left and right panel of a sheet of one image, without headings and margin."""
    row = sheet[-GAP - SIZE : -GAP]
    return row[:, GAP : GAP + SIZE], row[:, -GAP - SIZE : -GAP]


def difference(first: Image, second: Image) -> float:
    """Fraction of pixels that differ clearly."""
    return float((cv2.absdiff(first, second).max(axis=2) > 20).mean())


def test_perfect_detections_are_drawn_like_ground_truth_except_for_scores(split: Split) -> None:
    record = split.records[0]
    left, right = panels(detection_sheet(detector(split, ground_truth), split, [record]))
    captions = 60 * 25 * len(record.boxes) / SIZE**2
    assert difference(left, right) < captions
    assert difference(left, record.read()) > 5 * captions


def test_detections_below_the_threshold_are_neither_drawn_nor_counted(split: Split) -> None:
    record = split.records[0]
    low_scores = detector(split, lambda record: ground_truth(record, score=0.4))
    no_detections = detector(split, lambda record: ground_truth(record).above(2))
    sheet = detection_sheet(low_scores, split, [record])
    np.testing.assert_array_equal(sheet, detection_sheet(no_detections, split, [record]))
    np.testing.assert_array_equal(panels(sheet)[0], record.read())
    lowered, _ = panels(detection_sheet(low_scores, split, [record], threshold=0.3))
    assert difference(lowered, record.read()) > 0.01


def test_images_are_in_rows_of_two_or_as_requested(split: Split) -> None:
    perfect = detector(split, ground_truth)
    one = detection_sheet(perfect, split, split.records[:1])
    height, width = one.shape[:2]
    sheet = detection_sheet(perfect, split, split.records[:3])
    assert sheet.shape == (2 * height + GAP, 2 * width + GAP, 3)
    np.testing.assert_array_equal(sheet[:height, :width], one)
    column = detection_sheet(perfect, split, split.records[:3], columns=1)
    assert column.shape == (3 * height + 2 * GAP, width, 3)


@pytest.mark.parametrize(("size", "expected"), [((1200, 900), (640, 480)), ((600, 450), (600, 450))])
def test_large_images_are_reduced(
    size: tuple[int, int], expected: tuple[int, int], tmp_path: Path, split: Split
) -> None:
    width, height = size
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    boxes, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
    photo = ImageRecord(1, path, height, width, boxes, labels, np.zeros(0, bool), [])
    photos = Split("photos", split.categories, [photo], annotation_file=tmp_path / "none.json")
    sheet = detection_sheet(detector(photos, ground_truth), photos, [photo])
    assert sheet.shape[1] == 2 * expected[0] + 3 * GAP
    assert expected[1] < sheet.shape[0] < expected[1] + 60


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [0]), (2, [0, 5]), (3, [0, 2, 5]), (6, [0, 1, 2, 3, 4, 5]), (9, [0, 1, 2, 3, 4, 5])],
)
def test_sampled_images_are_spread_over_the_split(count: int, expected: Sequence[int], split: Split) -> None:
    assert sample_images(split, count) == [split.records[index] for index in expected]


def test_a_png_decodes_to_the_same_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(encode_png(image), np.uint8), cv2.IMREAD_COLOR), image
    )
