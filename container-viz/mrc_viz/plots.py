"""Plots of what one checkpoint does: precision over recall, and which class is taken for which."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from mrc_train.drawing import class_colour

from mrc_viz.curves import GREY, INK, PALE
from mrc_viz.matching import confusion
from mrc_viz.quality import Quality

MOST_CLASSES = 10
"""As many classes have a curve of their own, those with the most objects; all are in the mean."""


def plot_precision_recall(quality: Quality) -> Figure:
    """Precision over recall at IoU 0.5, a panel for boxes and one for masks, a line for each class."""
    figure = Figure(figsize=(5.5 * len(quality.curves), 4.5), dpi=120, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(quality.curves), sharey=True))
    for axis, (kind, curves) in zip(panels, quality.curves.items(), strict=True):
        precision = np.where(curves.precision[0] >= 0, curves.precision[0], np.nan)  # (recall, class)
        counted: list[int] = np.flatnonzero(~np.isnan(precision[0])).tolist()
        shown = sorted(counted, key=lambda place: -_objects(quality, place))[:MOST_CLASSES]
        for place in sorted(shown):
            blue, green, red = class_colour(place + 1)
            axis.plot(
                curves.recall,
                precision[:, place],
                color=(red / 255 * 0.85, green / 255 * 0.85, blue / 255 * 0.85),
                linewidth=1.4,
                label=f"{curves.names[place]} {curves.ap50[place]:.3f}",
            )
        if counted:
            mean = precision[:, counted].mean(axis=1)
            axis.plot(curves.recall, mean, color=INK, linewidth=2.4, label=f"mean {mean.mean():.3f}")
            axis.legend(title="AP50", edgecolor="none", fontsize=9, labelcolor=INK, loc="lower left")
        axis.set_title(
            f"{kind.capitalize()}es" if kind == "box" else "Masks", loc="left", fontsize=11, color=INK
        )
        axis.set_xlabel("recall", color=INK)
        axis.set(xlim=(0, 1), ylim=(0, 1.02))
        axis.grid(color=PALE)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(color=GREY, labelcolor=INK, labelsize=9)
    panels[0].set_ylabel("precision", color=INK)
    return figure


def plot_confusion(quality: Quality) -> Figure:
    """Rows the truth, columns what was detected; dark where there is much of a row. Large numbers of classes:
    those with the most errors.
    """
    categories = quality.split.categories
    counts = confusion(quality.matchings.values(), len(categories.names))
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    shown = sorted(np.argsort(-errors[:-1], kind="stable")[: 2 * MOST_CLASSES].tolist())
    places = [*shown, len(categories.names)]
    counts = counts[np.ix_(places, places)]
    names = [categories.names[place] for place in shown]
    side = 2.2 + 0.5 * len(places)
    figure = Figure(figsize=(side + 1, side), dpi=120, layout="constrained")
    axis = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else INK
            axis.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    axis.set_xticks(range(len(places)), [*names, "missed"], rotation=45, ha="left", rotation_mode="anchor")
    axis.set_yticks(range(len(places)), [*names, "nothing there"])
    axis.xaxis.tick_top()
    axis.xaxis.set_label_position("top")
    axis.set_xlabel("detected", color=INK)
    axis.set_ylabel("truth", color=INK)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_minor_locator(MultipleLocator(1, offset=0.5))
    axis.grid(which="minor", color="white", linewidth=2)
    axis.tick_params(which="both", length=0, labelcolor=INK, labelsize=9)
    axis.spines[:].set_visible(False)
    return figure


def _objects(quality: Quality, place: int) -> int:
    return int(sum((record.labels[~record.crowd] == place + 1).sum() for record in quality.records))
