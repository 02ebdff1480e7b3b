"""How good a checkpoint is on a validation split: AP by class, precision over recall, errors by picture."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from mrc_train.data.coco import Categories, DataError, ImageRecord, Split
from mrc_train.evaluation.coco_metrics import PrecisionCurves, precision_curves
from mrc_train.evaluation.detections import Detections

from mrc_viz.evaluations import Table
from mrc_viz.gallery import pick
from mrc_viz.matching import Matching, match

if TYPE_CHECKING:
    from mrc_train.predictor import Predictor

MOST_IMAGES = 200
"""As many are detected in here; the trainer's own evaluation, if there is one, is of all."""

Progress = Callable[[Sequence[ImageRecord]], Iterable[ImageRecord]]


@dataclass(frozen=True, eq=False)
class Quality:
    """Detections of a checkpoint in pictures of a split, against the truth.

    results: in COCO's format, of these records and no others; threshold: least score of what ``matchings``,
    ``worst`` and the confusion count. AP counts every detection, as COCO does.
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
    def found(self) -> dict[int, Detections]:
        """Detections of at least the threshold's score, by the picture's id."""
        entries: dict[int, list[dict[str, Any]]] = {record.image_id: [] for record in self.records}
        for result in self.results:
            if result["score"] >= self.threshold:
                entries[result["image_id"]].append(result)
        return {number: _detections(each, self.split.categories) for number, each in entries.items()}

    @cached_property
    def matchings(self) -> dict[int, Matching]:
        """What each picture's detections found, by the picture's id."""
        return {record.image_id: match(self.found[record.image_id], record) for record in self.records}

    @cached_property
    def curves(self) -> dict[str, PrecisionCurves]:
        """Precision over recall: of "box", and of "mask" where there are masks."""
        images = None if len(self.records) == len(self.split.records) else [r.image_id for r in self.records]
        kinds = {"box": "bbox", "mask": "segm"} if self.masks else {"box": "bbox"}
        return {
            name: precision_curves(self.split.annotation_file, self.results, kind, images)  # type: ignore[arg-type]
            for name, kind in kinds.items()
        }

    def worst(self, count: int) -> list[ImageRecord]:
        """Pictures with the most errors for what they show; none without an error."""

        def share(record: ImageRecord) -> float:
            matching = self.matchings[record.image_id]
            return matching.errors / (matching.errors + len(matching.truth) - matching.mistaken)

        wrong = [record for record in self.records if self.matchings[record.image_id].errors]
        return sorted(wrong, key=share, reverse=True)[:count]


def evaluate(
    model: "Predictor",
    split: Split,
    threshold: float | None = None,
    most: int = MOST_IMAGES,
    progress: Progress = iter,
) -> Quality:
    """What the trainer detected at this checkpoint's step, or else what the model detects now.

    Args:
        threshold: least score of a detection that is shown; by default TEST.RESULT_SCORE_THRESH_VIS.
        most: as many pictures, spread over the split, are detected in.
        progress: wraps the pictures that are gone through.

    Raises:
        DataError: when the split has other classes than the model.
    """
    check_categories(model, split)
    if threshold is None:
        threshold = model.cfg.TEST.RESULT_SCORE_THRESH_VIS
    records: Sequence[ImageRecord] = split.records
    results = _results_of_training(model, split)
    if results is None:
        records = pick(split, most)
        results = model.coco_results(progress(records))
    return Quality(split, records, results, model.cfg.MODE_MASK, threshold)


def check_categories(model: "Predictor", split: Split) -> None:
    """Raises DataError when the split has other classes than the model: its truth cannot be compared."""
    if model.categories != split.categories:
        raise DataError(
            f"{split.annotation_file} has {len(split.categories.names)} classes "
            f"({_few(split.categories.names)}), the model {len(model.categories.names)} "
            f"({_few(model.categories.names)}): choose a run that was trained on these data"
        )


def class_table(quality: Quality) -> Table:
    """A row for each class, its objects and its AP, the worst first; "-" where there is nothing to count."""
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
        [names[place], str(objects[place]), *(_number(values[place]) for values in columns.values())]
        for place in order
    ]
    means = [_number(_mean(values)) for values in columns.values()]
    return Table(["class", "objects", *columns], [*rows, ["all", str(objects.sum()), *means]])


def _mean(values: Any) -> float:
    counted = values[values >= 0]
    return float(counted.mean()) if len(counted) else -1


def _number(value: float) -> str:
    return f"{value:.3f}" if value >= 0 else "-"


def _few(names: Sequence[str]) -> str:
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
    """COCO results of one picture, best first."""
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
