import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import annotation, image, write_split
from mrc_train.data.annotations import DataError
from mrc_train.data.masks import encode_rle, polygons_to_mask
from mrc_train.evaluation.coco_metrics import METRICS, evaluate, precision_curves
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def detection(image_id: int, box: list[float], score: float, category_id: int = 1) -> dict[str, Any]:
    """A detection whose mask fills its box, in an image of 200 x 200 pixels."""
    x, y, w, h = box
    mask = polygons_to_mask([np.array([x, y, x + w, y, x + w, y + h, x, y + h])], 200, 200)
    result = {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}
    return {**result, "segmentation": encode_rle(mask)}


def ground_truth_file(directory: Path, objects: list[dict[str, Any]], images: int = 2) -> Path:
    return write_split(directory, [image(number, 200, 200) for number in range(1, images + 1)], objects)


SMALL, MEDIUM, LARGE = [0, 0, 20, 20], [50, 50, 60, 60], [10, 10, 120, 120]


def test_perfect_detections_score_1_everywhere(tmp_path: Path) -> None:
    boxes = [(1, SMALL, 1), (1, MEDIUM, 2), (2, LARGE, 1), (2, SMALL, 2)]
    file = ground_truth_file(tmp_path, [annotation(number, box, kind) for number, box, kind in boxes])
    metrics = evaluate(file, [detection(number, box, 0.9, kind) for number, box, kind in boxes], masks=True)
    assert list(metrics) == [f"{kind}/{name}" for kind in ("bbox", "segm") for name in METRICS]
    assert all(value == pytest.approx(1) for value in metrics.values())


def test_no_detections_score_0_and_metrics_without_objects_are_minus_1(tmp_path: Path) -> None:
    metrics = evaluate(
        ground_truth_file(tmp_path, [annotation(1, SMALL), annotation(1, MEDIUM)]), [], masks=True
    )
    for kind in ("bbox", "segm"):
        assert metrics[f"{kind}/AP"] == metrics[f"{kind}/AP50"] == metrics[f"{kind}/AR100"] == 0
        assert metrics[f"{kind}/AP_large"] == -1


def test_without_masks_only_boxes_are_scored(tmp_path: Path) -> None:
    file = ground_truth_file(tmp_path, [annotation(1, SMALL)])
    result = detection(1, SMALL, 0.9)
    del result["segmentation"]
    assert set(evaluate(file, [result], masks=False)) == {f"bbox/{name}" for name in METRICS}


def test_a_false_positive_between_two_true_positives_lowers_ap_as_calculated(tmp_path: Path) -> None:
    file = ground_truth_file(tmp_path, [annotation(1, SMALL), annotation(2, SMALL)])
    results = [detection(1, SMALL, 0.9), detection(1, [100, 100, 20, 20], 0.8), detection(2, SMALL, 0.7)]
    # Precision 1 at the 51 recalls up to one half, 2/3 at the 50 above it.
    assert evaluate(file, results, masks=True)["bbox/AP50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_box_matches_only_at_thresholds_up_to_its_iou(tmp_path: Path) -> None:
    file = ground_truth_file(tmp_path, [annotation(1, [0, 0, 100, 100])])
    # IoU .72: reaches .50, .55, .60, .65 and .70 of the ten thresholds up to .95.
    metrics = evaluate(file, [detection(1, [0, 0, 100, 72], 0.9)], masks=True)
    for kind in ("bbox", "segm"):
        assert metrics[f"{kind}/AP"] == pytest.approx(0.5)
        assert [metrics[f"{kind}/AP50"], metrics[f"{kind}/AP75"]] == pytest.approx([1, 0])


def test_a_detection_in_a_crowd_is_neither_a_true_nor_a_false_positive(tmp_path: Path) -> None:
    runs = encode_rle(np.ones((200, 200)))
    crowd = annotation(1, [0, 0, 200, 200], iscrowd=1, segmentation=runs)
    file = ground_truth_file(tmp_path, [annotation(2, SMALL), crowd])
    results = [detection(1, MEDIUM, 0.99), detection(2, SMALL, 0.5)]
    metrics = evaluate(file, results, masks=True)
    assert metrics["bbox/AP"] == metrics["segm/AP"] == pytest.approx(1)
    assert evaluate(file, [detection(2, MEDIUM, 0.99), results[1]], masks=True)["bbox/AP"] == pytest.approx(
        0.5
    )


def test_size_ranges_are_separated_at_areas_of_32_and_96_pixels_squared(tmp_path: Path) -> None:
    file = ground_truth_file(tmp_path, [annotation(1, SMALL), annotation(1, MEDIUM), annotation(2, LARGE)])
    metrics = evaluate(file, [detection(1, SMALL, 0.9), detection(2, LARGE, 0.9)], masks=True)
    for kind in ("bbox", "segm"):
        assert [metrics[f"{kind}/AP_{size}"] for size in ("small", "medium", "large")] == pytest.approx(
            [1, 0, 1]
        )


def test_the_area_of_a_detection_is_that_of_its_mask_not_its_box(tmp_path: Path) -> None:
    """An unmatched thin diagonal in a large box is a false positive among small objects, not large ones."""
    file = ground_truth_file(tmp_path, [annotation(1, LARGE), annotation(2, SMALL)])
    diagonal = {**detection(1, [0, 0, 150, 150], 0.95), "segmentation": encode_rle(np.eye(200))}
    metrics = evaluate(file, [diagonal, detection(1, LARGE, 0.9), detection(2, SMALL, 0.9)], masks=True)
    assert metrics["segm/AP_large"] == pytest.approx(1)
    assert metrics["segm/AP_small"] == pytest.approx(0.5)


def test_only_the_best_100_detections_of_an_image_count(tmp_path: Path) -> None:
    boxes = [[10 * (number % 20), 10 * (number // 20), 9, 9] for number in range(150)]
    file = ground_truth_file(tmp_path, [annotation(1, box) for box in boxes])
    results = [detection(1, box, 0.9 - number / 1000) for number, box in enumerate(boxes)]
    metrics = evaluate(file, results, masks=False)
    assert metrics["bbox/AR100"] == pytest.approx(100 / 150)
    assert metrics["bbox/AR10"] == pytest.approx(10 / 150)


def test_an_annotation_with_id_0_can_be_matched(tmp_path: Path) -> None:
    """COCOeval takes 0 for no match, so that a perfect detection would be a false positive."""
    file = ground_truth_file(tmp_path, [annotation(1, MEDIUM, id=0)])
    assert evaluate(file, [detection(1, MEDIUM, 0.9)], masks=True)["bbox/AP"] == pytest.approx(1)


def test_image_and_category_ids_may_be_0(tmp_path: Path) -> None:
    file = write_split(
        tmp_path, [image(0, 200, 200)], [annotation(0, MEDIUM, 0)], categories=[{"id": 0, "name": "it"}]
    )
    assert evaluate(file, [detection(0, MEDIUM, 0.9, 0)], masks=True)["segm/AP"] == pytest.approx(1)


def test_area_and_iscrowd_may_be_missing(tmp_path: Path) -> None:
    entry = annotation(1, MEDIUM)
    del entry["area"], entry["iscrowd"]
    metrics = evaluate(ground_truth_file(tmp_path, [entry]), [detection(1, MEDIUM, 0.9)], masks=True)
    assert metrics["segm/AP_medium"] == pytest.approx(1)


@pytest.mark.parametrize(
    "unusable",
    [
        annotation(1, [5, 5, 0, 9]),
        annotation(1, [5, 5, float("nan"), 9]),
        annotation(1, LARGE, segmentation=[]),
    ],
)
def test_objects_that_training_leaves_out_are_not_false_negatives(
    tmp_path: Path, unusable: dict[str, Any]
) -> None:
    file = ground_truth_file(tmp_path, [unusable, annotation(1, MEDIUM)])
    assert evaluate(file, [detection(1, MEDIUM, 0.9)], masks=True)["segm/AP"] == pytest.approx(1)


def test_results_of_another_data_set_are_rejected(tmp_path: Path) -> None:
    file = ground_truth_file(tmp_path, [annotation(1, MEDIUM)])
    with pytest.raises(DataError, match=r"instances_train2017.json: has no image 77"):
        evaluate(file, [detection(77, MEDIUM, 0.9)], masks=True)


def test_scoring_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(ground_truth_file(tmp_path, [annotation(1, MEDIUM)]), [detection(1, MEDIUM, 0.9)], masks=True)
    assert capsys.readouterr() == ("", "")


def test_each_class_has_its_own_ap50(tmp_path: Path) -> None:
    categories = [{"id": 3, "name": "cup"}, {"id": 1, "name": "pan"}, {"id": 2, "name": "unused"}]
    objects = [annotation(1, SMALL, 3), annotation(1, MEDIUM, 1)]
    file = write_split(tmp_path, [image(1, 200, 200)], objects, categories=categories)
    results = [detection(1, SMALL, 0.9, 3), detection(1, SMALL, 0.9, 1)]
    for kind in ("bbox", "segm"):
        curves = precision_curves(file, results, kind)
        ap50 = dict(zip(curves.names, curves.ap50.tolist(), strict=True))
        assert ap50 == {"pan": 0, "unused": -1, "cup": pytest.approx(1)}


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_metrics_equal_those_of_pycocotools_loadres(tmp_path: Path, kind: str) -> None:
    """The reference reads the files with COCO.loadRes, without boxes for masks, as COCO's server does."""
    rng = np.random.default_rng(0)
    objects, results = [], []
    for number in range(1, 31):
        for _ in range(rng.integers(1, 8)):
            box = [float(value) for value in (*rng.integers(0, 100, 2), *rng.integers(4, 100, 2))]
            category = int(rng.integers(1, 3))
            objects.append(annotation(number, box, category))
            moved = [
                float(value) for value in np.maximum(np.add(box, rng.normal(0, 4, 4)).round(1), [0, 0, 1, 1])
            ]
            results.append(detection(number, moved, round(rng.random(), 3), category))
    file = ground_truth_file(tmp_path, objects, images=30)
    stripped = [{k: v for k, v in result.items() if kind == "bbox" or k != "bbox"} for result in results]
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO(file)
        theirs = COCOeval(ground_truth, ground_truth.loadRes(json.loads(json.dumps(stripped))), kind)
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    metrics = evaluate(file, results, masks=True)
    assert 0.1 < metrics[f"{kind}/AP"] < 0.9
    assert [metrics[f"{kind}/{name}"] for name in METRICS] == pytest.approx(list(theirs.stats), abs=1e-9)
