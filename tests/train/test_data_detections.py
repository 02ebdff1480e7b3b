import json
from pathlib import Path

import numpy as np
import pytest
from mrc_train.data.categories import Categories
from mrc_train.data.masks import decode_rle, encode_rle
from mrc_train.evaluation.detections import Detections, boxes_to_original, to_coco_results

SPARSE = Categories(("cup", "kettle", "pan"), (0, 13, 90))


def two_objects(masks: object = None) -> Detections:
    return Detections(
        boxes=np.array([[2, 3, 6, 8], [0.123, 0.456, 10.987, 12.5]], np.float32),
        scores=np.array([0.9, 0.25], np.float32),
        labels=np.array([3, 1], np.int32),
        masks=masks,
    )


def test_results_have_the_data_sets_category_ids_and_boxes_as_corner_and_size() -> None:
    first, second = to_coco_results(42, two_objects(), SPARSE, 20, 30)
    assert first == {"image_id": 42, "category_id": 90, "bbox": [2.0, 3.0, 4.0, 5.0], "score": 0.9}
    assert second["category_id"] == 0
    assert second["bbox"] == pytest.approx([0.12, 0.46, 10.86, 12.04])


def test_the_written_json_holds_ids_that_lead_back_to_the_labels(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(
        json.dumps(to_coco_results(42, two_objects(np.ones((2, 28, 28), np.float32)), SPARSE, 20, 30))
    )
    read = json.loads(path.read_text())
    assert [SPARSE.label_of(result["category_id"]) for result in read] == [3, 1]


def test_a_soft_mask_becomes_run_lengths_of_the_full_image() -> None:
    first, _ = to_coco_results(1, two_objects(np.ones((2, 28, 28), np.float32)), SPARSE, 20, 30)
    expected = np.zeros((20, 30), np.uint8)
    expected[3:8, 2:6] = 1
    np.testing.assert_array_equal(decode_rle(first["segmentation"]), expected)


def test_run_lengths_are_passed_on_unchanged() -> None:
    rles = [encode_rle(np.eye(20, 30)), encode_rle(np.ones((20, 30)))]
    results = to_coco_results(1, two_objects(rles), SPARSE, 20, 30)
    assert [result["segmentation"] for result in results] == rles


def test_no_detections_are_no_results() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
    assert to_coco_results(1, nothing, SPARSE, 20, 30) == []


@pytest.mark.parametrize("masks", [None, np.ones((2, 28, 28), np.float32), [encode_rle(np.eye(20, 30))] * 2])
def test_detections_below_a_score_are_left_out_with_their_masks(masks: object) -> None:
    kept = two_objects(masks).above(0.5)
    assert len(kept) == 1 and kept.labels.tolist() == [3]
    assert (kept.masks is None) if masks is None else (len(kept.masks) == 1)
    assert len(two_objects(masks).above(0.9)) == 1
    assert len(two_objects(masks).above(0.95)) == 0


def test_boxes_are_mapped_to_the_original_with_one_factor_for_each_axis() -> None:
    # 10 x 333 pixels high and wide, resized to 24 x 800: factors 10 / 24 and 333 / 800.
    boxes = np.array([[0, 0, 800, 24], [80, 12, 400, 18], [-5, -5, 900, 30]], np.float32)
    original = boxes_to_original(boxes, np.array([24, 800], np.float32), 10, 333)
    np.testing.assert_allclose(original, [[0, 0, 333, 10], [33.3, 5, 166.5, 7.5], [0, 0, 333, 10]], rtol=1e-6)
    assert original.dtype == np.float32
