"""RoIAlign and NMS against torch and torchvision."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mrc_train.ops.nms import batched_nms
from mrc_train.ops.roi_align import roi_align
from mrc_train.tfgraph import tf, v1

Arrays = dict[str, np.ndarray]


def evaluate(build: Callable[..., Any], *arrays: np.ndarray) -> Any:
    with tf.Graph().as_default(), v1.Session() as session:
        return session.run(build(*map(tf.constant, arrays)))


def random_boxes(rng: np.random.Generator, count: int, size: float) -> np.ndarray:
    """Boxes of all sizes, some of them partly outside an image of size x size: float32 (count, 4)."""
    corner = rng.uniform(-0.2 * size, size, (count, 2))
    sides = size * np.exp(rng.uniform(np.log(1e-3), np.log(1.2), (count, 2)))
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)


@pytest.mark.parametrize(("height", "width", "ratio"), [(50, 64, 2), (16, 16, 1), (20, 33, 3), (1, 40, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_roi_align_and_its_gradient_equal_those_of_torchvision(
    torch_side: Callable[..., Arrays], height: int, width: int, ratio: int, dtype: Any
) -> None:
    rng = np.random.default_rng(height)
    stride, resolution = 8, 7
    features = rng.standard_normal((1, height, width, 16)).astype(dtype)
    boxes = random_boxes(rng, 256, stride * max(height, width))
    weights = rng.standard_normal((256, resolution, resolution, 16)).astype(np.float32)

    def ours(maps: Any, boxes: Any, weights: Any) -> Any:
        pooled = roi_align(maps, boxes, tf.zeros(256, tf.int32), stride, resolution, ratio)
        return pooled, tf.gradients(tf.cast(pooled, tf.float32) * weights, maps)[0]

    pooled, gradient = evaluate(ours, features, boxes, weights)
    theirs = torch_side(
        "roi_aligned",
        features=features.astype(np.float32),
        boxes=boxes,
        weights=weights,
        stride=np.float32(stride),
        resolution=np.int64(resolution),
        ratio=np.int64(ratio),
    )
    # The two round float32 coordinates in different orders, so that 1e-5 cannot be reached.
    np.testing.assert_allclose(pooled, theirs["pooled"], atol=5e-5 if dtype == np.float32 else 4e-3, rtol=0)
    # The gradients of many boxes are summed, in float16 with its rounding.
    max_gradient = np.abs(theirs["gradient"]).max()
    tolerance = max_gradient * (5e-5 if dtype == np.float32 else 3e-2)
    np.testing.assert_allclose(gradient, theirs["gradient"], atol=tolerance, rtol=0)


@pytest.mark.parametrize("ratio", [1, 2, 3])
def test_roi_align_is_the_mean_of_samples_of_torchs_grid_sample(
    torch_side: Callable[..., Arrays], ratio: int
) -> None:
    rng = np.random.default_rng(ratio)
    stride, resolution, height, width = 8, 7, 30, 40
    features = rng.standard_normal((1, height, width, 4)).astype(np.float32)
    # Boxes stay half a pixel inside the map, since the two differ beyond the outermost pixel centres.
    low, high = stride / 2, stride * np.array([width, height]) - stride / 2
    corners = np.sort(rng.uniform(low, high, (64, 2, 2)), axis=1)
    boxes = corners.reshape(-1, 4).astype(np.float32)

    def ours(maps: Any, boxes: Any) -> Any:
        return roi_align(maps, boxes, tf.zeros(len(corners), tf.int32), stride, resolution, ratio)

    theirs = torch_side(
        "grid_sampled",
        features=features,
        boxes=boxes,
        stride=np.float32(stride),
        resolution=np.int64(resolution),
        ratio=np.int64(ratio),
    )
    np.testing.assert_allclose(evaluate(ours, features, boxes), theirs["pooled"], atol=5e-5, rtol=0)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_nms_equals_that_of_torchvision_without_and_with_classes(
    torch_side: Callable[..., Arrays], threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, 1000, 300)
    scores = rng.permutation(np.linspace(0.01, 0.99, 1000)).astype(np.float32)
    classes = rng.integers(0, 5, 1000)
    theirs = torch_side(
        "nms_indices", boxes=boxes, scores=scores, classes=classes, threshold=np.float32(threshold)
    )
    per_class = np.where(classes[:, None] == np.arange(5), scores[:, None], -np.inf).astype(np.float32)
    for class_scores, kept in ((scores[:, None], theirs["one_class"]), (per_class, theirs["by_class"])):
        ours, ours_scores, _, count = evaluate(
            lambda b, s: batched_nms(b, s, threshold, 1000, 1000), boxes[None], class_scores[None]
        )
        assert count[0] == len(kept)
        assert np.array_equal(ours[0, : count[0]], boxes[kept])
        assert np.array_equal(ours_scores[0, : count[0]], scores[kept])
