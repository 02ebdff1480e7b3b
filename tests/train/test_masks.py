import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mrc_train.data.coco import load_split
from mrc_train.data.masks import (
    Polygons,
    clean_segmentation,
    decode_rle,
    encode_rle,
    paste_mask,
    polygons_to_mask,
    resize_bitmap,
    segmentation_to_mask,
)
from mrc_train.scenes import SHAPES, outline


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def rectangle(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    return np.array([x1, y1, x2, y1, x2, y2, x1, y2], np.float64)


def test_run_lengths_go_down_the_columns() -> None:
    # A 2 x 3 image with the columns (0, 1), (1, 1), (0, 0).
    mask = segmentation_to_mask(clean_segmentation({"size": [2, 3], "counts": [1, 3, 2]}, 2, 3), 2, 3)
    np.testing.assert_array_equal(mask, [[0, 1, 0], [1, 1, 0]])


@pytest.mark.parametrize("seed", range(5))
def test_bitmaps_survive_run_lengths_and_json(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bitmap = (rng.random((37, 53)) < rng.uniform(0.01, 0.99)).astype(np.uint8)
    rle = json.loads(json.dumps(encode_rle(bitmap)))
    np.testing.assert_array_equal(decode_rle(rle), bitmap)
    assert clean_segmentation(rle, 37, 53) == rle


@pytest.mark.parametrize("bitmap", [np.zeros((5, 4)), np.ones((5, 4)), np.ones((1, 1)), np.eye(300)])
def test_runs_of_any_length_are_usable_after_compression(bitmap: np.ndarray) -> None:
    rle = encode_rle(bitmap)
    np.testing.assert_array_equal(decode_rle(rle), bitmap)
    assert clean_segmentation(rle, *bitmap.shape) == rle


def test_any_value_but_0_counts_as_set() -> None:
    assert encode_rle(np.array([[0, 255], [0.5, 2]])) == encode_rle(np.array([[0, 1], [1, 1]]))


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "polygon",
        {},
        {"size": [4, 4]},
        {"size": [4, 4], "counts": 16},
        {"size": [4, 5], "counts": [20]},
        {"size": [4, 4], "counts": [15]},
        {"size": [4, 4], "counts": [17]},
        {"size": [4, 4], "counts": [20, -4]},
        {"size": [4, 4], "counts": ["x"]},
        {"size": [4, 4], "counts": [float("inf")]},
        {"size": [4, 4], "counts": ""},
        {"size": [4, 4], "counts": "11"},
        {"size": [4, 4], "counts": "o"},
        {"size": [4, 4], "counts": "zzzzzz~~~"},
        [],
        [[]],
        [[1, 1, 2, 2]],
        [[1, 1, 2, 2, 3]],
        [[1, 1, 2, 2, 3, float("nan")]],
        [[1, 1, 2, 2, 3, float("inf")]],
        [[0, 0, 10**400, 0, 4, 4]],
        [[0, 0, 1e12, 0, 1e12, 1e12]],
        [[1, 1, 2, 2, 3, "x"]],
        [[[1, 1], [2, 2], [3, 1]]],
    ],
)
def test_a_segmentation_that_pycocotools_would_misread_is_unusable(raw: Any) -> None:
    assert clean_segmentation(raw, 4, 4) is None


def test_the_usable_polygons_of_an_object_are_kept() -> None:
    (kept,) = clean_segmentation([[1, 1], [0, 0, 4, 0, 4, 4], [1, 2, 3, 4]], 9, 9) or []
    np.testing.assert_array_equal(kept, [0, 0, 4, 0, 4, 4])


def test_a_polygon_may_extend_beyond_the_image() -> None:
    polygons = clean_segmentation([[-20, -20, 28, -20, 28, 28, -20, 28]], 8, 8)
    assert segmentation_to_mask(polygons, 8, 8).all()


def test_polygons_on_pixel_edges_fill_exactly_those_pixels() -> None:
    expected = np.zeros((10, 12), np.uint8)
    expected[2:5, 3:11] = 1
    np.testing.assert_array_equal(polygons_to_mask([rectangle(3, 2, 11, 5)], 10, 12), expected)


def test_polygons_of_one_object_are_united() -> None:
    expected = np.zeros((10, 10), np.uint8)
    expected[0:4, 0:4] = expected[2:6, 2:6] = 1
    np.testing.assert_array_equal(
        polygons_to_mask([rectangle(0, 0, 4, 4), rectangle(2, 2, 6, 6)], 10, 10), expected
    )


@pytest.mark.parametrize("label", range(1, len(SHAPES) + 1))
def test_polygons_are_filled_where_a_pixels_centre_is_inside(label: int) -> None:
    corners = outline(label, np.array([60.3, 50.7]), 40.0, 0.4)
    contour = corners.astype(np.float32)
    inside = np.array(
        [
            [cv2.pointPolygonTest(contour, (x + 0.5, y + 0.5), False) > 0 for x in range(120)]
            for y in range(100)
        ]
    )
    assert iou(polygons_to_mask([corners.reshape(-1)], 100, 120).astype(bool), inside) > 0.97


def slow_paste(mask: np.ndarray, box: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear value at each pixel's centre, cell by cell, 0 outside the mask; set from one half on."""
    rows, columns = mask.shape
    x1, y1, x2, y2 = (float(value) for value in box)
    bitmap = np.zeros((height, width), np.uint8)
    for i in range(height):
        for j in range(width):
            y = (i + 0.5 - y1) / (y2 - y1) * rows - 0.5
            x = (j + 0.5 - x1) / (x2 - x1) * columns - 0.5
            value = 0.0
            for cell_y in (int(np.floor(y)), int(np.floor(y)) + 1):
                for cell_x in (int(np.floor(x)), int(np.floor(x)) + 1):
                    if 0 <= cell_y < rows and 0 <= cell_x < columns:
                        value += (1 - abs(y - cell_y)) * (1 - abs(x - cell_x)) * float(mask[cell_y, cell_x])
            inside = x1 - 1 < j + 0.5 < x2 + 1 and y1 - 1 < i + 0.5 < y2 + 1
            bitmap[i, j] = inside and value >= 0.5
    return bitmap


BOXES = np.array(
    [
        [2.3, 3.1, 20.8, 17.4],
        [-6.5, -4.2, 9.9, 12.1],
        [15.2, 10.6, 47.3, 39.9],
        [-10.0, -10.0, 60.0, 60.0],
        [7.0, 5.0, 8.0, 25.0],
        [4.6, 4.6, 5.3, 5.3],
    ],
    np.float32,
)


@pytest.mark.parametrize("cells", [7, 28])
def test_pasting_agrees_with_a_slow_reference(cells: int) -> None:
    rng = np.random.default_rng(cells)
    masks = cv2.resize(rng.random((cells, cells, len(BOXES)), np.float32), (cells, cells)).transpose(2, 0, 1)
    expected = [slow_paste(mask, box, 24, 32) for mask, box in zip(masks, BOXES, strict=True)]
    pasted = [paste_mask(mask, box, 24, 32) for mask, box in zip(masks, BOXES, strict=True)]
    np.testing.assert_array_equal(pasted, expected)


def test_a_full_mask_fills_its_box() -> None:
    expected = np.zeros((12, 10), np.uint8)
    expected[3:8, 2:6] = 1
    box = np.array([2, 3, 6, 8], np.float32)
    np.testing.assert_array_equal(paste_mask(np.ones((14, 14), np.float32), box, 12, 10), expected)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "box",
    [[5, 5, 5, 9], [5.5, 5, 5.5, 9], [5, 5.5, 9, 5.5], [9, 5, 5, 9], [20, 20, 30, 30], [-9, -9, -1, -1]],
)
def test_a_box_without_area_inside_the_image_pastes_nothing(box: list[float]) -> None:
    assert not paste_mask(np.ones((28, 28), np.float32), np.array(box, np.float32), 16, 16).any()


def cropped_and_pasted(polygons: Polygons, height: int, width: int) -> float:
    """IoU of an object's mask with its 28 x 28 crop pasted back over the box."""
    points = np.concatenate([polygon.reshape(-1, 2) for polygon in polygons])
    low, high = points.min(axis=0), points.max(axis=0)
    small = [((polygon.reshape(-1, 2) - low) / (high - low) * 28).reshape(-1) for polygon in polygons]
    cropped = polygons_to_mask(small, 28, 28).astype(np.float32)
    box = np.concatenate([low, high]).astype(np.float32)
    return iou(paste_mask(cropped, box, height, width), polygons_to_mask(polygons, height, width))


def test_cropping_and_pasting_drawn_shapes_keeps_them() -> None:
    rng = np.random.default_rng(0)
    overlaps = [
        cropped_and_pasted([outline(label, np.array([150.0, 150.0]), radius, angle).reshape(-1)], 300, 300)
        for label in range(1, len(SHAPES) + 1)
        for radius, angle in zip(rng.uniform(20, 140, 25), rng.uniform(0, 6.3, 25), strict=True)
    ]
    assert np.mean(overlaps) > 0.94  # the bound of detectron2's tests/layers/test_mask_ops.py


def test_cropping_and_pasting_real_objects_keeps_them() -> None:
    directory = os.environ.get("MRC_TEST_PHOTOS")
    if not directory:
        pytest.skip("MRC_TEST_PHOTOS names no directory of photos")
    overlaps = [
        cropped_and_pasted(segmentation, record.height, record.width)
        for record in load_split(Path(directory), "train2017").records
        for segmentation in record.segmentations
        if isinstance(segmentation, list)
    ]
    assert len(overlaps) > 100
    assert np.mean(overlaps) > 0.94


def test_resizing_a_bitmap_keeps_the_position_of_objects() -> None:
    bitmap = np.zeros((20, 30), np.uint8)
    bitmap[5:15, 10:20] = 1
    doubled = np.zeros((40, 60), np.uint8)
    doubled[10:30, 20:40] = 1
    np.testing.assert_array_equal(resize_bitmap(bitmap, 40, 60)[11:29, 21:39], doubled[11:29, 21:39])
    assert iou(resize_bitmap(bitmap, 40, 60), doubled) > 0.9
    np.testing.assert_array_equal(resize_bitmap(doubled, 20, 30), bitmap)
