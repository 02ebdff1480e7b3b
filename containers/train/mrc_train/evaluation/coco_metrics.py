"""COCO's detection metrics, computed by hotcoco: the figures of pycocotools, fifty times faster."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pycocotools.mask
from hotcoco import COCO, COCOeval
from numpy.typing import NDArray

from mrc_train.data.coco import DataError, read_annotation_file
from mrc_train.data.masks import clean_segmentation

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
    """Metrics of a results list over all pictures of an annotation file: ``bbox/AP``, ``segm/AP50``, ...

    A metric without any object to count it on (no large ones, say) is -1, as in pycocotools. Objects that
    training leaves out (data.coco) do not count. Raises DataError for a bad file and for results of other
    pictures.
    """
    kinds: tuple[Kind, ...] = ("bbox", "segm") if masks else ("bbox",)
    metrics: dict[str, float] = {}
    for kind in kinds:
        scorer = _scorer(annotation_file, results, kind)
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

    ``images``: ids of the pictures that count; by default all of the file.
    """
    scorer = _scorer(annotation_file, results, kind, images)
    # precision: (IoU thresholds, recalls, classes, areas from "all", detection limits up to 100)
    assert scorer.eval is not None, "accumulate() fills it"
    precision = np.asarray(scorer.eval["precision"])[:, :, :, 0, -1]
    names = [scorer.cocoGt.cats[category]["name"] for category in scorer.params.catIds]
    return PrecisionCurves(names, np.asarray(scorer.params.recThrs), precision)


def ap50_per_class(
    annotation_file: Path, results: Sequence[dict[str, Any]], kind: Kind = "bbox"
) -> dict[str, float]:
    """AP at IoU 0.5 of each class by its name; -1 for a class without objects in the file."""
    curves = precision_curves(annotation_file, results, kind)
    return dict(zip(curves.names, curves.ap50.tolist(), strict=True))


def _scorer(
    annotation_file: Path,
    results: Sequence[dict[str, Any]],
    kind: Kind,
    images: Sequence[int] | None = None,
) -> COCOeval:
    content = read_annotation_file(annotation_file)
    frame = {key: content[key] for key in ("images", "categories")}
    known = {image["id"] for image in content["images"]}
    for result in results:
        if result["image_id"] not in known:
            raise DataError(
                f"{annotation_file}: has no image {result['image_id']}, which the results are for"
            )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its summary
        truth = COCO({**frame, "annotations": _truth(content, kind)})
        found = COCO({**frame, "annotations": _found(results, kind)})
        scorer = COCOeval(truth, found, kind)
        if images is not None:
            scorer.params.imgIds = list(images)
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return scorer


def _truth(content: dict[str, list[dict[str, Any]]], kind: Kind) -> list[dict[str, Any]]:
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    objects: list[dict[str, Any]] = []
    for annotation in content["annotations"]:
        _, _, width, height = annotation["bbox"]
        if not (width > 0 and height > 0):
            continue
        # COCOeval takes the id 0 for "no match": number the objects anew, from 1.
        entry = {"iscrowd": 0, "area": width * height, **annotation, "id": len(objects) + 1}
        if kind == "segm":
            segmentation = clean_segmentation(annotation.get("segmentation"), *sizes[annotation["image_id"]])
            if segmentation is None:
                continue
            entry["segmentation"] = segmentation
        objects.append(entry)
    return objects


def _found(results: Sequence[dict[str, Any]], kind: Kind) -> list[dict[str, Any]]:
    """What COCO.loadRes makes of results, but for an empty list too, and for masks with the masks' areas."""
    objects = []
    for number, result in enumerate(results, start=1):
        entry = {key: result[key] for key in ("image_id", "category_id", "score")}
        if kind == "segm":
            area = pycocotools.mask.area(result["segmentation"])
            entry |= {"segmentation": result["segmentation"], "area": int(area)}
        else:
            _, _, width, height = result["bbox"]
            entry |= {"bbox": result["bbox"], "area": width * height}
        objects.append({**entry, "id": number, "iscrowd": 0})
    return objects
