"""The quality of a checkpoint, computed from results that the test writes in place of the trainer."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib import cbook
from mrc_train.config import Config
from mrc_train.data.annotations import DataError
from mrc_train.data.categories import Categories
from mrc_train.data.coco import ImageRecord, Split, load_split
from mrc_train.data.masks import encode_rle, segmentation_to_mask
from mrc_viz.curves import literal
from mrc_viz.plots import plot_confusion, plot_precision_recall
from mrc_viz.quality import class_table, evaluate

SIZE = 64


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Six scenes."""
    from mrc_train import scenes

    directory = tmp_path_factory.mktemp("scenes")
    scenes.main([str(directory), "--train", "1", "--val", "6", "--size", str(SIZE)])
    return load_split(directory, "val2017")


def perfect(records: Sequence[ImageRecord], split: Split) -> list[dict[str, Any]]:
    """The ground truth as COCO results."""
    results = []
    for record in records:
        for index, (x1, y1, x2, y2) in enumerate(record.boxes.tolist()):
            mask = segmentation_to_mask(record.segmentations[index], SIZE, SIZE)
            results.append(
                {
                    "image_id": record.image_id,
                    "category_id": split.categories.id_of(int(record.labels[index])),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": 0.9,
                    "segmentation": encode_rle(mask),
                }
            )
    return results


class Model(SimpleNamespace):
    """A Predictor at step 7 of a run that detects everything and records the images it was given."""

    def __init__(self, run: Path, split: Split) -> None:
        super().__init__(
            cfg=Config(), categories=split.categories, checkpoint=run / "model-7", received=[], split=split
        )

    def coco_results(self, records: Sequence[ImageRecord]) -> list[dict[str, Any]]:
        self.received = list(records)
        return perfect(self.received, self.split)


@pytest.fixture
def model(tmp_path: Path, split: Split) -> Model:
    return Model(tmp_path, split)


def write_results(model: Model, results: object) -> None:
    directory = model.checkpoint.parent / "result"
    directory.mkdir()
    (directory / "val2017-7.json").write_text(json.dumps(results))


def test_the_trainers_results_of_this_step_are_used(model: Model, split: Split) -> None:
    write_results(model, perfect(split.records[:3], split))
    quality = evaluate(model, split)
    assert model.received == []
    assert str(quality) == f"6 images of val2017, {sum(len(r.boxes) for r in split.records[:3])} detections"
    assert {str(quality.matchings[record.image_id]) for record in split.records[:3]} == {"no errors"}


@pytest.mark.parametrize(
    "content", ["{", [{"image_id": 12345}], None], ids=["truncated", "other data", "missing"]
)
def test_without_usable_results_the_model_detects_now(content: object, model: Model, split: Split) -> None:
    if content is not None:
        write_results(model, content)
        if content == "{":
            (model.checkpoint.parent / "result" / "val2017-7.json").write_text("{")
    evaluate(model, split)
    assert model.received == list(split.records)


def test_the_model_runs_on_a_limited_number_of_images_and_counts_their_objects(
    model: Model, split: Split
) -> None:
    quality = evaluate(model, split, max_images=2)
    assert len(model.received) == 2
    assert str(quality).startswith("2 of 6 images of val2017, ")
    *_, means = class_table(quality).rows
    objects = sum(len(record.boxes) for record in model.received)
    assert means == ["all", str(objects), *["1.000"] * 6]


def test_a_class_that_is_never_detected_is_the_first_row_with_an_ap_of_zero(
    model: Model, split: Split
) -> None:
    star = split.categories.coco_ids[split.categories.names.index("star")]
    results = [result for result in perfect(split.records, split) if result["category_id"] != star]
    write_results(model, results)
    table = class_table(evaluate(model, split))
    assert table.header == ["class", "objects", *(f"{kind} {ap}" for kind in ("box", "mask") for ap in APS)]
    stars = sum(int((record.labels == split.categories.label_of(star)).sum()) for record in split.records)
    assert table.rows[0] == ["star", str(stars), *["0.000"] * 6]
    assert {row[2] for row in table.rows[1:-1]} <= {"1.000", "-"}


APS = ("AP50", "AP75", "AP")


def test_images_with_the_most_errors_relative_to_their_objects_come_first(model: Model, split: Split) -> None:
    """All objects of the first image and one of the third are missed; all others are detected."""
    first, _, third, *_ = split.records
    results = perfect([record for record in split.records if record is not first], split)
    results.remove(next(result for result in results if result["image_id"] == third.image_id))
    write_results(model, results)
    quality = evaluate(model, split)
    assert [record.image_id for record in quality.worst(5)] == [first.image_id, third.image_id]
    assert str(quality.matchings[first.image_id]) == f"{len(first.boxes)} missed"
    assert len(third.boxes) == 1 or str(quality.matchings[third.image_id]) == "1 missed"


def test_detections_below_the_threshold_are_not_counted_as_errors(model: Model, split: Split) -> None:
    false_positive = {**perfect(split.records[:1], split)[0], "score": 0.3}
    write_results(model, [*perfect(split.records, split), false_positive])
    assert evaluate(model, split).worst(5) == []
    assert [record.image_id for record in evaluate(model, split, threshold=0.2).worst(5)] == [
        split.records[0].image_id
    ]


def test_data_with_other_classes_are_one_line(model: Model, split: Split) -> None:
    model.categories = Categories(("cup", "pan"), (1, 2))
    with pytest.raises(DataError) as error:
        evaluate(model, split)
    assert str(error.value) == (
        f"{split.annotation_file} has 4 classes (circle, square, triangle, star), the model has 2 "
        "(cup, pan); choose a run that was trained on these data"
    )


@pytest.mark.parametrize("plot", [plot_precision_recall, plot_confusion])
def test_plots_of_a_model_without_detections_are_drawn(
    plot: Callable[[Any], Any], model: Model, split: Split
) -> None:
    write_results(model, [])
    figure = plot(evaluate(model, split))
    figure.canvas.draw()


def test_a_perfect_model_has_a_precision_of_1_at_every_recall(model: Model, split: Split) -> None:
    figure = plot_precision_recall(evaluate(model, split))
    for axis in figure.axes:
        for line in axis.lines:
            assert set(line.get_ydata()) == {1.0}
            assert str(line.get_label()).endswith(" 1.000")


NOT_FORMULAS = ("$\\frac$", "a$b", r"\$x^$", "_")


def test_class_names_are_drawn_literally_even_if_they_look_like_formulas(
    tmp_path: Path, split: Split
) -> None:
    named = replace(split, categories=Categories(NOT_FORMULAS, split.categories.coco_ids))
    quality = evaluate(Model(tmp_path, named), named)
    curves, confusion = plot_precision_recall(quality), plot_confusion(quality)
    for figure in (curves, confusion):
        figure.canvas.draw()
    labels = [label.get_text() for label in confusion.axes[0].get_yticklabels()]
    assert labels == [*(literal(name) for name in NOT_FORMULAS), "no object"]
    assert not any(cbook.is_math_text(label) for label in labels)
