"""COCO's detection metrics, computed by hotcoco: the figures of pycocotools, fifty times faster."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pycocotools.mask
from hotcoco import COCO, COCOeval
from numpy.typing import NDArray

from mrc_train.data.annotations import Annotations, DataError, read_annotations
from mrc_train.data.masks import Segmentation

Kind = Literal["bbox", "segm"]

METRICS = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR1",
    "AR10",
    "AR100",
    "AR_small",
    "AR_medium",
    "AR_large",
)
"""COCO's twelve, in the order of COCOeval.stats: small is below 32 x 32 pixels, large above 96 x 96."""


def evaluate(annotation_file: Path, results: Sequence[dict[str, Any]], masks: bool) -> dict[str, float]:
    """Metrics of a results list over all images of an annotation file: ``bbox/AP``, ``segm/AP50``, ...

    A metric without ground truth (no large objects, for example) is -1, as in pycocotools. Objects that
    training leaves out (data.annotations) do not count. Raises DataError for a bad file and for results of
    other images or categories.
    """
    annotations = read_annotations(annotation_file, masks)
    kinds: tuple[Kind, ...] = ("bbox", "segm") if masks else ("bbox",)
    metrics: dict[str, float] = {}
    for kind in kinds:
        scorer = _scorer(annotations, results, kind)
        metrics |= {f"{kind}/{name}": float(value) for name, value in zip(METRICS, scorer.stats, strict=True)}
    return metrics


def check_can_be_scored(annotation_file: Path, masks: bool) -> None:
    """Score an empty results list, so that a fault of the ground truth shows before the first step.

    Raises DataError, in one line, for a file that cannot be scored.
    """
    try:
        evaluate(annotation_file, [], masks)
    except DataError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise DataError(
            f"{annotation_file}: cannot be used as ground truth: {type(error).__name__}: {reason}; correct "
            "the file, or leave its split out of DATA.VAL"
        ) from error


@dataclass(frozen=True, eq=False)
class PrecisionCurves:
    """Precision over recall of each class.

    names: of C classes; recall: float64 (101,), 0 to 1; precision: float64 (10, 101, C), at IoU 0.5, 0.55,
    ... 0.95, and -1 for a class without objects.
    """

    names: Sequence[str]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]

    @property
    def ap(self) -> NDArray[np.float64]:
        """COCO's AP of each class, float64 (C,)."""
        return np.asarray(self.precision.mean(axis=(0, 1)))

    @property
    def ap50(self) -> NDArray[np.float64]:
        """AP at IoU 0.5 of each class, float64 (C,)."""
        return np.asarray(self.precision[0].mean(axis=0))

    @property
    def ap75(self) -> NDArray[np.float64]:
        """AP at IoU 0.75 of each class, float64 (C,)."""
        return np.asarray(self.precision[5].mean(axis=0))


def precision_curves(
    annotation_file: Path,
    results: Sequence[dict[str, Any]],
    kind: Kind = "bbox",
    images: Sequence[int] | None = None,
) -> PrecisionCurves:
    """Curves of all classes of an annotation file, in the order of their ids.

    ``images``: ids of the images that count; by default all of the file.
    """
    annotations = read_annotations(annotation_file, masks=kind == "segm")
    scorer = _scorer(annotations, results, kind, images)
    # precision: (IoU thresholds, recalls, classes, areas from "all", detection limits up to 100)
    assert scorer.eval is not None, "accumulate() fills it"
    precision = np.asarray(scorer.eval["precision"])[:, :, :, 0, -1]
    return PrecisionCurves(annotations.categories.names, np.asarray(scorer.params.recThrs), precision)


def _scorer(
    annotations: Annotations,
    results: Sequence[dict[str, Any]],
    kind: Kind,
    images: Sequence[int] | None = None,
) -> COCOeval:
    """A scorer that has accumulated; images and categories are numbered from 1 in the order of the file.

    hotcoco gets nothing else of the file: it rejects negative and huge ids, dates that are integers and more.
    """
    numbers = {image_id: number for number, image_id in enumerate(annotations.images, start=1)}
    labels = {coco_id: label for label, coco_id in enumerate(annotations.categories.coco_ids, start=1)}
    for result in results:
        if result["image_id"] not in numbers:
            raise DataError(
                f"{annotations.file}: has no image {result['image_id']}, which the results are for"
            )
        if result["category_id"] not in labels:
            raise DataError(
                f"{annotations.file}: has no category {result['category_id']}, which the results are for"
            )
    frame = {
        "images": [
            {"id": numbers[image.id], "height": image.height, "width": image.width, "file_name": ""}
            for image in annotations.images.values()
        ],
        "categories": [{"id": label, "name": str(label)} for label in labels.values()],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its summary
        expected = COCO({**frame, "annotations": _ground_truth(annotations, kind, numbers, labels)})
        detected = COCO({**frame, "annotations": _detections(results, kind, numbers, labels)})
        scorer = COCOeval(expected, detected, kind)
        if images is not None:
            scorer.params.imgIds = [numbers[image_id] for image_id in images]
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return scorer


def _ground_truth(
    annotations: Annotations, kind: Kind, numbers: Mapping[int, int], labels: Mapping[int, int]
) -> list[dict[str, Any]]:
    objects = [entry for objects_of_image in annotations.objects.values() for entry in objects_of_image]
    return [
        {
            "id": number,  # from 1: COCOeval takes the id 0 for "no match"
            "image_id": numbers[entry.image_id],
            "category_id": labels[entry.category_id],
            "bbox": list(entry.bbox),
            "area": entry.area,
            "iscrowd": int(entry.crowd),
            **({"segmentation": _plain(entry.segmentation)} if kind == "segm" else {}),
        }
        for number, entry in enumerate(objects, start=1)
    ]


def _plain(segmentation: Segmentation | None) -> Any:
    if isinstance(segmentation, list):
        return [polygon.tolist() for polygon in segmentation]
    return segmentation


def _detections(
    results: Sequence[dict[str, Any]], kind: Kind, numbers: Mapping[int, int], labels: Mapping[int, int]
) -> list[dict[str, Any]]:
    """Results as COCO.loadRes reads them, but with the masks' own areas for masks, as in detectron2.

    COCO.loadRes takes the boxes' areas where results have both; and it rejects an empty list.
    """
    objects = []
    for number, result in enumerate(results, start=1):
        entry: dict[str, Any] = {
            "image_id": numbers[result["image_id"]],
            "category_id": labels[result["category_id"]],
            "score": result["score"],
        }
        if kind == "segm":
            area = pycocotools.mask.area(result["segmentation"])
            entry |= {"segmentation": result["segmentation"], "area": int(area)}
        else:
            _, _, width, height = result["bbox"]
            entry |= {"bbox": result["bbox"], "area": width * height}
        objects.append({**entry, "id": number, "iscrowd": 0})
    return objects
