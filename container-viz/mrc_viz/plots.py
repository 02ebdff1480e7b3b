"""Plots of the quality of one checkpoint: precision over recall, and the confusion matrix."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from mrc_train.drawing import class_colour

from mrc_viz.curves import GREY, INK, PALE, literal
from mrc_viz.matching import confusion
from mrc_viz.quality import Quality

MAX_CLASSES = 10
"""The classes with the most objects get a curve, this many of them; the mean is over all classes."""


def plot_precision_recall(quality: Quality) -> Figure:
    """Precision over recall at IoU 0.5: one panel for boxes and one for masks, one line per class."""
    figure = Figure(figsize=(5.5 * len(quality.curves), 4.5), dpi=120, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(quality.curves), sharey=True))
    for axis, (kind, curves) in zip(panels, quality.curves.items(), strict=True):
        precision = np.where(curves.precision[0] >= 0, curves.precision[0], np.nan)  # (recall, class)
        counted: list[int] = np.flatnonzero(~np.isnan(precision[0])).tolist()
        shown = sorted(counted, key=lambda index: -_object_count(quality, index))[:MAX_CLASSES]
        for index in sorted(shown):
            blue, green, red = class_colour(index + 1)
            axis.plot(
                curves.recall,
                precision[:, index],
                color=(red / 255 * 0.85, green / 255 * 0.85, blue / 255 * 0.85),
                linewidth=1.4,
                label=f"{literal(curves.names[index])} {curves.ap50[index]:.3f}",
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
    """The confusion matrix, shaded by the share of each row. Of many classes, those with the most errors."""
    categories = quality.split.categories
    counts = confusion(quality.matchings.values(), len(categories.names))
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    shown = sorted(np.argsort(-errors[:-1], kind="stable")[: 2 * MAX_CLASSES].tolist())
    indices = [*shown, len(categories.names)]
    counts = counts[np.ix_(indices, indices)]
    names = [literal(categories.names[index]) for index in shown]
    side = 2.2 + 0.5 * len(indices)
    figure = Figure(figsize=(side + 1, side), dpi=120, layout="constrained")
    axis = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else INK
            axis.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    axis.set_xticks(range(len(indices)), [*names, "missed"], rotation=45, ha="left", rotation_mode="anchor")
    axis.set_yticks(range(len(indices)), [*names, "no object"])
    axis.xaxis.tick_top()
    axis.xaxis.set_label_position("top")
    axis.set_xlabel("predicted", color=INK)
    axis.set_ylabel("actual", color=INK)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_minor_locator(MultipleLocator(1, offset=0.5))
    axis.grid(which="minor", color="white", linewidth=2)
    axis.tick_params(which="both", length=0, labelcolor=INK, labelsize=9)
    axis.spines[:].set_visible(False)
    return figure


def _object_count(quality: Quality, index: int) -> int:
    return int(sum((record.labels[~record.crowd] == index + 1).sum() for record in quality.records))
