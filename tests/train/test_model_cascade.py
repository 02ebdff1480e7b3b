"""Cascade R-CNN (Cai & Vasconcelos 2018): three heads, each refines the boxes of the previous one."""

import numpy as np
from mrc_train.model.rois import Rois, rematch

WEIGHTS = ((10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15))


def decoded(
    boxes: np.ndarray, deltas: np.ndarray, weights: tuple[int, ...], height: int, width: int
) -> np.ndarray:
    """Boxes decoded from (N, 4) and offsets (N, 4) and clipped to the image, from R-CNN's definition."""
    dx, dy, dw, dh = (deltas / np.array(weights)).T
    x1, y1, x2, y2 = boxes.T
    w, h = x2 - x1, y2 - y1
    x, y = (x1 + x2) / 2 + dx * w, (y1 + y2) / 2 + dy * h
    w, h = w * np.exp(dw), h * np.exp(dh)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1).clip(0, [width, height, width, height])


def test_all_heads_refine_the_boxes_and_scores_are_their_mean() -> None:
    from model_graphs import Graph, one_image_batch

    graph = Graph("FPN.CASCADE=True", "TEST.RESULT_SCORE_THRESH=0.1", training=False)
    stages, outputs = graph.stages(one_image_batch(64, 96, [[4, 4, 30, 34]], [1], seed=3))
    boxes, probabilities = stages["proposals"].boxes[0].astype(float), []
    for head, weights in zip(stages["box_outputs"], WEIGHTS, strict=True):
        boxes = decoded(boxes, head.deltas[:, 0], weights, 64, 96)
        exponential = np.exp(head.logits.astype(float))
        probabilities.append(exponential / exponential.sum(1, keepdims=True))
    scores = np.mean(probabilities, axis=0)
    assert len(outputs["output/boxes"]) > 5
    for box, score, label in zip(
        *(outputs[f"output/{name}"] for name in ("boxes", "scores", "labels")), strict=True
    ):
        row = np.abs(boxes - box).max(1).argmin()
        np.testing.assert_allclose(boxes[row], box, atol=1e-3)
        same = np.abs(boxes - boxes[row]).max(1) < 1e-3
        assert np.abs(scores[same, label] - score).min() < 1e-4


def test_refined_boxes_are_matched_at_the_threshold_of_the_next_head(run_graph) -> None:
    objects, labels = np.array([[[0.0, 0, 10, 10], [50, 50, 60, 60]]]), np.int32([[3, 1]])
    boxes = [
        [0, 0, 10, 7],  # IoU 0.7 with the first
        [0, 0, 10, 5],  # 0.5
        [50, 50, 60, 60],
        [5, 5, 5, 5],  # no area
        [0, 0, 10, 10],  # an empty slot
    ]
    valid = np.array([[True, True, True, True, False]])

    def run(boxes, valid, objects, labels):
        before = Rois(boxes, valid, labels[:, :1], labels[:, :1])
        return rematch(before, boxes, objects, labels, 0.6)

    rois = run_graph(run, np.array([boxes], float), valid, objects, labels)
    assert rois.labels.tolist() == [[3, 0, 1, 0, 0]]
    assert rois.valid.tolist() == [[True, True, True, False, False]]
    assert rois.gt_index[0, :3].tolist() == [0, 0, 1]
