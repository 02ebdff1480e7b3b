"""How good a checkpoint is, from results that we write: what the trainer detected at the same step."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mrc_train.config import Config
from mrc_train.data.coco import Categories, DataError, ImageRecord, Split, load_split
from mrc_train.data.masks import encode_rle, segmentation_to_mask
from mrc_viz.plots import plot_confusion, plot_precision_recall
from mrc_viz.quality import class_table, evaluate

SIZE = 64


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Six scenes."""
    from mrc_train import scenes

    folder = tmp_path_factory.mktemp("scenes")
    scenes.main([str(folder), "--train", "1", "--val", "6", "--size", str(SIZE)])
    return load_split(folder, "val2017")


def perfect(records: Sequence[ImageRecord], split: Split) -> list[dict[str, Any]]:
    """COCO results that are the truth."""
    results = []
    for record in records:
        for place, (x1, y1, x2, y2) in enumerate(record.boxes.tolist()):
            mask = segmentation_to_mask(record.segmentations[place], SIZE, SIZE)
            results.append(
                {
                    "image_id": record.image_id,
                    "category_id": split.categories.id_of(int(record.labels[place])),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": 0.9,
                    "segmentation": encode_rle(mask),
                }
            )
    return results


class Model(SimpleNamespace):
    """Stands for a Predictor at step 7 of a run: finds everything, and remembers where it looked."""

    def __init__(self, run: Path, split: Split) -> None:
        super().__init__(
            cfg=Config(), categories=split.categories, checkpoint=run / "model-7", looked=[], split=split
        )

    def coco_results(self, records: Sequence[ImageRecord]) -> list[dict[str, Any]]:
        self.looked = list(records)
        return perfect(self.looked, self.split)


@pytest.fixture
def model(tmp_path: Path, split: Split) -> Model:
    return Model(tmp_path, split)


def write_results(model: Model, results: object) -> None:
    folder = model.checkpoint.parent / "result"
    folder.mkdir()
    (folder / "val2017-7.json").write_text(json.dumps(results))


def test_what_the_trainer_detected_at_this_step_is_taken(model: Model, split: Split) -> None:
    write_results(model, perfect(split.records[:3], split))
    done = evaluate(model, split)
    assert model.looked == []
    assert str(done) == f"6 images of val2017, {sum(len(r.boxes) for r in split.records[:3])} detections"
    assert {str(done.matchings[record.image_id]) for record in split.records[:3]} == {"all found"}


@pytest.mark.parametrize("content", ["{", [{"image_id": 12345}], None], ids=["cut off", "other data", "none"])
def test_without_usable_results_the_model_detects_now(content: object, model: Model, split: Split) -> None:
    if content is not None:
        write_results(model, content)
        if content == "{":
            (model.checkpoint.parent / "result" / "val2017-7.json").write_text("{")
    evaluate(model, split)
    assert model.looked == list(split.records)


def test_of_many_images_only_some_are_detected_in_and_counted(model: Model, split: Split) -> None:
    done = evaluate(model, split, most=2)
    assert len(model.looked) == 2
    assert str(done).startswith("2 of 6 images of val2017, ")
    *_, means = class_table(done).rows
    objects = sum(len(record.boxes) for record in model.looked)
    assert means == ["all", str(objects), *["1.000"] * 6]


def test_a_class_that_is_never_found_is_the_first_row_and_has_no_ap(model: Model, split: Split) -> None:
    star = split.categories.coco_ids[split.categories.names.index("star")]
    results = [result for result in perfect(split.records, split) if result["category_id"] != star]
    write_results(model, results)
    table = class_table(evaluate(model, split))
    assert table.header == ["class", "objects", *(f"{kind} {ap}" for kind in ("box", "mask") for ap in APS)]
    stars = sum(int((record.labels == split.categories.label_of(star)).sum()) for record in split.records)
    assert table.rows[0] == ["star", str(stars), *["0.000"] * 6]
    assert {row[2] for row in table.rows[1:-1]} <= {"1.000", "-"}


APS = ("AP50", "AP75", "AP")


def test_the_images_with_the_most_errors_for_what_they_show_come_first(model: Model, split: Split) -> None:
    """Nothing is found in the first image, all but one object in the third, all elsewhere."""
    first, _, third, *_ = split.records
    results = perfect([record for record in split.records if record is not first], split)
    results.remove(next(result for result in results if result["image_id"] == third.image_id))
    write_results(model, results)
    done = evaluate(model, split)
    alone = len(third.boxes) == 1
    assert [record.image_id for record in done.worst(5)] == [first.image_id, third.image_id]
    assert str(done.matchings[first.image_id]) == f"{len(first.boxes)} missed"
    assert alone or str(done.matchings[third.image_id]) == "1 missed"


def test_detections_below_the_threshold_are_no_errors(model: Model, split: Split) -> None:
    false = {**perfect(split.records[:1], split)[0], "score": 0.3}
    write_results(model, [*perfect(split.records, split), false])
    assert evaluate(model, split).worst(5) == []
    assert [record.image_id for record in evaluate(model, split, threshold=0.2).worst(5)] == [
        split.records[0].image_id
    ]


def test_data_of_other_classes_are_one_sentence(model: Model, split: Split) -> None:
    model.categories = Categories(("cup", "pan"), (1, 2))
    with pytest.raises(DataError) as error:
        evaluate(model, split)
    assert str(error.value) == (
        f"{split.annotation_file} has 4 classes (circle, square, triangle, star), the model 2 (cup, pan): "
        "choose a run that was trained on these data"
    )


@pytest.mark.parametrize("plot", [plot_precision_recall, plot_confusion])
def test_plots_of_a_model_that_finds_nothing_are_drawn(
    plot: Callable[[Any], Any], model: Model, split: Split
) -> None:
    write_results(model, [])
    figure = plot(evaluate(model, split))
    figure.canvas.draw()


def test_a_perfect_model_has_precision_1_up_to_recall_1(model: Model, split: Split) -> None:
    figure = plot_precision_recall(evaluate(model, split))
    for axis in figure.axes:
        for line in axis.lines:
            assert set(line.get_ydata()) == {1.0}
            assert str(line.get_label()).endswith(" 1.000")
