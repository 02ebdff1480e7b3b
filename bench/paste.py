"""Benchmark: the masks of an evaluation of 500 images with 20 objects, pasted in two ways.

Prints wall and CPU seconds of writing COCO results from soft masks, which is what an evaluation does after
inference: pasting and run-length encoding. The rounds alternate.
"""

import argparse
import time

import matrix_paste
import numpy as np
from mrc_train.data import masks
from mrc_train.data.categories import Categories
from mrc_train.evaluation import detections
from mrc_train.evaluation.detections import Detections, to_coco_results

HEIGHT, WIDTH, OBJECTS = 600, 800, 20
CATEGORIES = Categories(("object",), (1,))


def synthetic(rng: np.random.Generator) -> Detections:
    """Detections with round soft masks in boxes of 40 to 200 pixels."""
    size = rng.uniform(40, 200, (OBJECTS, 2))
    corner = rng.uniform(0, 1, (OBJECTS, 2)) * ((WIDTH, HEIGHT) - size)
    grid = np.linspace(-1, 1, 28)
    soft = 1 / (
        1 + np.exp(8 * (np.hypot(grid[:, None], grid[None]) - rng.uniform(0.5, 0.9, (OBJECTS, 1, 1))))
    )
    boxes = np.hstack([corner, corner + size]).astype(np.float32)
    scores = np.sort(rng.uniform(0, 1, OBJECTS).astype(np.float32))[::-1]
    return Detections(boxes, scores, np.ones(OBJECTS, np.int32), soft.astype(np.float32))


def main() -> None:
    """Measure both, in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = [synthetic(rng) for _ in range(arguments.images)]
    results = {}
    print("| paste | wall s | CPU s |\n| --- | --- | --- |")
    for _ in range(arguments.rounds):
        for name, paste in (
            ("matrix products", matrix_paste.paste_mask),
            ("interpolation", masks.paste_mask),
        ):
            detections.paste_mask = paste  # type: ignore[attr-defined]
            wall, cpu = time.perf_counter(), time.process_time()
            results[name] = [to_coco_results(0, image, CATEGORIES, HEIGHT, WIDTH) for image in images]
            print(
                f"| {name} | {time.perf_counter() - wall:.1f} | {time.process_time() - cpu:.1f} |", flush=True
            )
    same = np.mean(
        [
            one["segmentation"] == other["segmentation"]
            for ours, theirs in zip(*results.values(), strict=True)
            for one, other in zip(ours, theirs, strict=True)
        ]
    )
    print(f"{100 * same:.2f} % of the masks are equal")


if __name__ == "__main__":
    main()
