import math

import cv2
import numpy as np
import pytest
import slow_references
from mrc_train.ops import mask_targets

SIZE = 28


@pytest.fixture
def crop(run_graph):
    """Crops targets from boolean masks (B, G, H, W), W a multiple of 8."""

    def run(masks, image_index, gt_index, boxes, resolution=SIZE):
        return run_graph(
            lambda p, i, g, b: mask_targets.crop_mask_targets(p, i, g, b, resolution),
            np.packbits(masks, axis=-1),
            np.int32(image_index),
            np.int32(gt_index),
            np.float32(boxes).reshape(-1, 4),
        )

    return run


def random_shape(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A mask of a polygon or an ellipse of 40 to 200 pixels, drawn by OpenCV."""
    mask = np.zeros((height, width), np.uint8)
    centre = random.uniform([70, 70], [width - 70, height - 70])
    radii = random.uniform(20, 100, 2)
    if random.random() < 0.5:
        cv2.ellipse(mask, centre.astype(int), radii.astype(int), random.uniform(0, 180), 0, 360, 1, -1)
    else:
        angles = np.sort(random.uniform(0, 2 * np.pi, 8))
        points = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * random.uniform(20, 100, (8, 1))
        cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    return mask.astype(bool)


def box_of(mask: np.ndarray) -> list[float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_targets_equal_roi_align_of_the_unpacked_mask(crop):
    random = np.random.default_rng(0)
    masks = random.random((2, 3, 24, 40)) < 0.5
    masks = np.repeat(np.repeat(masks, 2, axis=2), 2, axis=3)
    corner = random.uniform(-15, 40, (30, 2))
    boxes = np.concatenate([corner, corner + random.uniform(2, 60, (30, 2))], axis=1)
    image_index, gt_index = random.integers(0, 2, 30), random.integers(0, 3, 30)
    targets = crop(masks, image_index, gt_index, boxes, resolution=5)
    assert targets.dtype == np.float32
    for row, box in enumerate(boxes):
        mask = masks[image_index[row], gt_index[row]].astype(float)
        share = slow_references.roi_align(mask, box, 1, 5, 2)
        unambiguous = np.abs(share - 0.5) > 1e-4  # float32 may round the others either way
        assert np.array_equal(targets[row][unambiguous], (share >= 0.5)[unambiguous])


def test_bits_are_read_in_the_order_of_packbits(crop):
    random = np.random.default_rng(1)
    mask = random.random((3, 16)) < 0.5
    targets = crop(mask[None, None], [0] * 2, [0] * 2, [[0, 0, 3, 3], [9, 0, 12, 3]], resolution=3)
    assert np.array_equal(targets, [mask[:, :3], mask[:, 9:12]])


def test_targets_are_1_inside_the_object_and_0_outside(crop):
    mask = np.zeros((1, 1, 64, 64), bool)
    mask[0, 0, 10:30, 20:50] = True
    inside, left_half, beside, outside = crop(
        mask, [0] * 4, [0] * 4, [[20, 10, 50, 30], [5, 10, 35, 30], [0, 40, 60, 60], [70, 70, 90, 90]]
    )
    assert inside.all()
    assert left_half[:, 14:].all() and not left_half[:, :14].any()
    assert not beside.any()
    assert not outside.any()


def test_a_cropped_mask_pasted_back_covers_the_object(crop):
    random = np.random.default_rng(2)
    masks = np.stack([random_shape(random, 240, 320) for _ in range(100)])
    boxes = np.float32([box_of(mask) for mask in masks])
    targets = crop(masks[None], [0] * 100, range(100), boxes)
    ious = []
    for mask, target, box in zip(masks, targets, boxes, strict=True):
        x1, y1, x2, y2 = box
        # The bin of the target at each pixel's centre, in the coordinates of cv2.remap.
        x = (np.arange(320) + 0.5 - x1) / (x2 - x1) * SIZE - 0.5
        y = (np.arange(240) + 0.5 - y1) / (y2 - y1) * SIZE - 0.5
        grid = [axis.astype(np.float32) for axis in np.meshgrid(x, y)]
        pasted = cv2.remap(target, *grid, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT) >= 0.5
        ious.append((mask & pasted).sum() / (mask | pasted).sum())
    assert np.mean(ious) > 0.95  # Detectron2, tests/layers/test_mask_ops.py
    assert np.min(ious) > 0.85


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_a_broken_box_does_not_read_out_of_bounds(crop, value):
    assert crop(np.ones((1, 1, 8, 8), bool), [0], [0], [[0, value, value, 8]]).shape == (1, SIZE, SIZE)


def test_no_boxes_give_no_targets(crop):
    assert crop(np.ones((2, 3, 8, 8), bool), [], [], []).shape == (0, SIZE, SIZE)
