"""Figures of detections beside the ground truth, for TensorBoard and the run's directory."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mrc_train import dashboard
from mrc_train.config import Config
from mrc_train.data.coco import Split
from mrc_train.drawing import detections_beside_ground_truth
from mrc_train.inference import RunGraph, detect, readable

FIGURES_PER_SPLIT = 4


class DetectionFigures:
    """Draws the same few images of a split, spread over it, after every evaluation.

    The first one is also written to ``detections/<split>-<step>.png``.
    """

    def __init__(self, run: RunGraph, cfg: Config, logdir: Path, monitors: Any) -> None:
        self._run = run
        self._cfg = cfg
        self._logdir = logdir
        self._monitors = monitors

    def draw(self, split: Split, step: int) -> None:
        """Detect in the chosen images and write the figures."""
        count = min(FIGURES_PER_SPLIT, len(split.records))
        places = np.linspace(0, len(split.records) - 1, count).astype(int)
        for number, (record, image) in enumerate(readable(split.records[place] for place in places), 1):
            figure = detections_beside_ground_truth(
                image,
                detect(self._run, image, self._cfg),
                record,
                split.categories,
                self._cfg.TEST.RESULT_SCORE_THRESH_VIS,
            )
            if number == 1:
                path = self._logdir / "detections" / f"{split.name}-{step}.png"
                path.parent.mkdir(exist_ok=True)
                if not cv2.imwrite(str(path), figure):
                    raise OSError(f"{path} cannot be written")
            tag = f"detections/{split.name}/{number}-{record.path.name}"
            self._monitors.put_summary(dashboard.image(tag, figure))
