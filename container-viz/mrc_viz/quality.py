"""Quality of a checkpoint on a validation split: AP by class, precision over recall, errors by image."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from mrc_train.data.annotations import DataError
from mrc_train.data.categories import Categories
from mrc_train.data.coco import ImageRecord, Split
from mrc_train.evaluation.coco_metrics import PrecisionCurves, precision_curves
from mrc_train.evaluation.detections import Detections

from mrc_viz.evaluations import Table
from mrc_viz.gallery import sample_images
from mrc_viz.matching import Matching, match

if TYPE_CHECKING:
    from mrc_train.predictor import Predictor

MAX_IMAGES = 200
"""The model runs on at most this many images; the trainer's own evaluation, if there is one, has all."""

Progress = Callable[[Sequence[ImageRecord]], Iterable[ImageRecord]]


@dataclass(frozen=True, eq=False)
class Quality:
    """Detections of a checkpoint in images of a split, compared with the ground truth.

    Attributes:
        results: the detections in COCO format, all of them in images of ``records``.
        threshold: minimum score of a detection that ``matchings``, ``worst`` and the confusion matrix count;
            AP counts every detection, as COCO does.
    """

    split: Split
    records: Sequence[ImageRecord]
    results: Sequence[dict[str, Any]]
    masks: bool
    threshold: float

    def __str__(self) -> str:
        of_all = "" if len(self.records) == len(self.split.records) else f" of {len(self.split.records)}"
        return f"{len(self.records)}{of_all} images of {self.split.name}, {len(self.results)} detections"

    @cached_property
    def detections(self) -> dict[int, Detections]:
        """Detections that score at least ``threshold``, by image id."""
        entries: dict[int, list[dict[str, Any]]] = {record.image_id: [] for record in self.records}
        for result in self.results:
            if result["score"] >= self.threshold:
                entries[result["image_id"]].append(result)
        return {
            image_id: _detections(results, self.split.categories) for image_id, results in entries.items()
        }

    @cached_property
    def matchings(self) -> dict[int, Matching]:
        """Each image's detections matched to its objects, by image id."""
        return {record.image_id: match(self.detections[record.image_id], record) for record in self.records}

    @cached_property
    def curves(self) -> dict[str, PrecisionCurves]:
        """Precision over recall for ``box``, and for ``mask`` if the model has masks."""
        images = None if len(self.records) == len(self.split.records) else [r.image_id for r in self.records]
        kinds = {"box": "bbox", "mask": "segm"} if self.masks else {"box": "bbox"}
        return {
            name: precision_curves(self.split.annotation_file, self.results, kind, images)  # type: ignore[arg-type]
            for name, kind in kinds.items()
        }

    def worst(self, count: int) -> list[ImageRecord]:
        """Images with the most errors relative to their objects; never one without an error."""

        def share(record: ImageRecord) -> float:
            matching = self.matchings[record.image_id]
            return matching.errors / (matching.errors + len(matching.actual) - matching.misclassified)

        wrong = [record for record in self.records if self.matchings[record.image_id].errors]
        return sorted(wrong, key=share, reverse=True)[:count]


def evaluate(
    model: "Predictor",
    split: Split,
    threshold: float | None = None,
    max_images: int = MAX_IMAGES,
    progress: Progress = iter,
) -> Quality:
    """Score what the trainer detected at this checkpoint's step, or else what the model detects now.

    Args:
        threshold: minimum score, as in ``Quality``; TEST.RESULT_SCORE_THRESH_VIS by default.
        max_images: run the model on at most this many images, spread over the split.
        progress: wraps the sequence of images, to show progress.

    Raises:
        DataError: when the classes of the split are not those of the model.
    """
    check_categories(model, split)
    if threshold is None:
        threshold = model.cfg.TEST.RESULT_SCORE_THRESH_VIS
    records: Sequence[ImageRecord] = split.records
    results = _results_of_training(model, split)
    if results is None:
        records = sample_images(split, max_images)
        results = model.coco_results(progress(records))
    return Quality(split, records, results, model.cfg.MODE_MASK, threshold)


def check_categories(model: "Predictor", split: Split) -> None:
    """Raise DataError when the classes of the split are not those of the model."""
    if model.categories != split.categories:
        raise DataError(
            f"{split.annotation_file} has {len(split.categories.names)} classes "
            f"({_abbreviated(split.categories.names)}), the model has {len(model.categories.names)} "
            f"({_abbreviated(model.categories.names)}); choose a run that was trained on these data"
        )


def class_table(quality: Quality) -> Table:
    """One row per class with its objects and its AP, the worst first; "-" if there are no objects."""
    objects = np.bincount(
        np.concatenate([record.labels[~record.crowd] for record in quality.records]),
        minlength=quality.split.categories.num_classes,
    )[1:]
    columns = {
        f"{kind} {name}": values
        for kind, curves in quality.curves.items()
        for name, values in (("AP50", curves.ap50), ("AP75", curves.ap75), ("AP", curves.ap))
    }
    order = np.argsort(quality.curves["box"].ap, kind="stable").tolist()
    names = quality.split.categories.names
    rows = [
        [names[index], str(objects[index]), *(_number(values[index]) for values in columns.values())]
        for index in order
    ]
    means = [_number(_mean(values)) for values in columns.values()]
    return Table(["class", "objects", *columns], [*rows, ["all", str(objects.sum()), *means]])


def _mean(values: Any) -> float:
    counted = values[values >= 0]
    return float(counted.mean()) if len(counted) else -1


def _number(value: float) -> str:
    return f"{value:.3f}" if value >= 0 else "-"


def _abbreviated(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= 4 else [*names[:3], "…"])


def _results_of_training(model: "Predictor", split: Split) -> list[dict[str, Any]] | None:
    step = model.checkpoint.name.rpartition("-")[2]
    path = model.checkpoint.parent / "result" / f"{split.name}-{step}.json"
    try:
        results: list[dict[str, Any]] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    known = {record.image_id for record in split.records}
    return results if all(result["image_id"] in known for result in results) else None


def _detections(results: Sequence[dict[str, Any]], categories: Categories) -> Detections:
    """COCO results of one image as Detections, best first."""
    ordered = sorted(results, key=lambda result: float(result["score"]), reverse=True)
    boxes = np.array([result["bbox"] for result in ordered], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    masks = [result["segmentation"] for result in ordered if "segmentation" in result]
    return Detections(
        boxes=boxes,
        scores=np.array([result["score"] for result in ordered], np.float32),
        labels=np.array([categories.label_of(result["category_id"]) for result in ordered], np.int32),
        masks=masks if len(masks) == len(ordered) else None,
    )
