"""The plots of a run, read back from the figure."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mrc_viz.curves import plot_curves
from mrc_viz.runs import History, Series


def series(*points: tuple[int, float]) -> Series:
    steps, values = zip(*points, strict=True)
    return Series(np.array(steps), np.array(values))


HISTORY: History = {
    "loss/total": series((10, 3.0), (20, 2.0)),
    "loss/mask": series((10, 0.7), (20, 0.5)),
    "loss/rpn_class": series((10, 0.6), (20, 0.1)),
    "learning_rate": series((10, 0.02), (20, 0.002)),
    "images_per_second": series((10, 120.0), (20, 121.0)),
    "bbox/AP50": series((20, 0.5)),
    "segm/AP50": series((20, 0.4)),
    "bbox/AP": series((20, 0.3)),
    "segm/AP": series((20, 0.2)),
    "bbox/AP75": series((20, 0.25)),
}


def lines(axis: Axes) -> dict[str, list[tuple[float, float]]]:
    return {
        str(line.get_label()): list(zip(*(data.tolist() for data in line.get_data()), strict=True))
        for line in axis.lines
    }


def titled(figure: Figure, title: str) -> Axes:
    (axis,) = (axis for axis in figure.axes if axis.get_title(loc="left") == title)
    return axis


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (
            "Loss on training images",
            {
                "total": [(10, 3.0), (20, 2.0)],
                "mask": [(10, 0.7), (20, 0.5)],
                "RPN class": [(10, 0.6), (20, 0.1)],
            },
        ),
        ("Learning rate", {"learning rate": [(10, 0.02), (20, 0.002)]}),
        (
            "Average precision",
            {
                "box AP50": [(20, 0.5)],
                "mask AP50": [(20, 0.4)],
                "box AP": [(20, 0.3)],
                "mask AP": [(20, 0.2)],
            },
        ),
    ],
)
def test_each_panel_shows_its_series_and_no_others(
    title: str, expected: dict[str, list[tuple[float, float]]]
) -> None:
    assert lines(titled(plot_curves(HISTORY), title)) == expected


def test_an_ap_without_objects_leaves_a_gap() -> None:
    figure = plot_curves({"bbox/AP": series((10, -1.0), (20, 0.5))})
    (line,) = titled(figure, "Average precision").lines
    np.testing.assert_equal(line.get_ydata(), [np.nan, 0.5])


def test_each_of_several_validation_splits_has_a_line() -> None:
    figure = plot_curves({"val2017/bbox/AP": series((10, 0.5)), "test/bbox/AP": series((10, 0.25))})
    assert lines(titled(figure, "Average precision")) == {
        "val2017 box AP": [(10, 0.5)],
        "test box AP": [(10, 0.25)],
    }


def test_a_run_without_evaluations_says_so() -> None:
    axis = titled(plot_curves({"loss/total": series((10, 3.0))}), "Average precision")
    assert [text.get_text() for text in axis.texts] == ["no evaluation yet"]
