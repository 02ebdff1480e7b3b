"""Plots of a run over its steps: loss, learning rate and AP."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, StrMethodFormatter

from mrc_viz.evaluations import quoted_metrics
from mrc_viz.runs import History

INK = "#1f2937"
GREY = "#6b7280"
PALE = "#e5e7eb"
BLUE = "#1f6feb"
ORANGE = "#e8590c"

LOSS_PARTS = {
    "loss/fastrcnn_class": ("class", BLUE),
    "loss/fastrcnn_box": ("box", "#74b0ff"),
    "loss/mask": ("mask", ORANGE),
    "loss/rpn_class": ("RPN class", "#0b8a6a"),
    "loss/rpn_box": ("RPN box", "#63c7aa"),
    "loss/weight_decay": ("weight decay", "#adb5bd"),
}
AP_STYLES = {
    "box AP50": (BLUE, "-"),
    "mask AP50": (ORANGE, "-"),
    "box AP": (BLUE, "--"),
    "mask AP": (ORANGE, "--"),
}
SPLIT_MARKERS = "os^Dv"


def plot_curves(history: History) -> Figure:
    """Loss and its parts above the learning rate, box and mask AP beside them, all over the steps."""
    figure = Figure(figsize=(11, 4.8), dpi=120, layout="constrained")
    axes = figure.subplot_mosaic([["loss", "AP"], ["rate", "AP"]], height_ratios=[4, 1], sharex=True)
    _plot_loss(axes["loss"], history)
    _plot_learning_rate(axes["rate"], history)
    _plot_ap(axes["AP"], history)
    for axis in axes.values():
        axis.set_axisbelow(True)
        axis.grid(axis="y", color=PALE)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.spines["bottom"].set_color(GREY)
        axis.tick_params(color=GREY, labelcolor=INK, labelsize=9, left=False)
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
    axes["loss"].tick_params(labelbottom=False)
    for name in ("rate", "AP"):
        axes[name].set_xlabel("step", color=INK)
    return figure


def literal(text: str) -> str:
    """Text that matplotlib shows as it is: between two unescaped dollar signs it would parse a formula."""
    return text.replace("$", r"\$")


def _plot_loss(axis: Axes, history: History) -> None:
    _set_title(axis, "Loss on training images")
    if "loss/total" in history:
        axis.plot(*history["loss/total"], color=INK, linewidth=2.2, label="total")
    for scalar, (label, colour) in LOSS_PARTS.items():
        if scalar in history:
            axis.plot(*history[scalar], color=colour, linewidth=1.4, label=label)
    _add_legend(axis, columns=2)


def _plot_learning_rate(axis: Axes, history: History) -> None:
    _set_title(axis, "Learning rate")
    if "learning_rate" in history:
        axis.plot(*history["learning_rate"], color=GREY, linewidth=1.6, label="learning rate")
    axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 5, 10]))


def _plot_ap(axis: Axes, history: History) -> None:
    _set_title(axis, "Average precision")
    metrics = quoted_metrics(history)
    splits = list(dict.fromkeys(metric.split for metric in metrics))
    for metric in metrics:
        colour, line = AP_STYLES[metric.name]
        steps, values = history[metric.scalar]
        axis.plot(
            steps,
            np.where(values >= 0, values, np.nan),
            color=colour,
            linestyle=line,
            linewidth=1.8,
            marker=SPLIT_MARKERS[splits.index(metric.split) % len(SPLIT_MARKERS)],
            markersize=4,
            label=literal(f"{metric.split} {metric.name}".strip()),
        )
    axis.set_ylim(0, 1)
    if not metrics:
        axis.text(0.5, 0.5, "no evaluation yet", transform=axis.transAxes, ha="center", color=GREY)
    _add_legend(axis, columns=1)


def _set_title(axis: Axes, text: str) -> None:
    axis.set_title(text, loc="left", fontsize=11, color=INK)


def _add_legend(axis: Axes, columns: int) -> None:
    if axis.get_legend_handles_labels()[0]:
        axis.legend(ncols=columns, frameon=False, fontsize=9, labelcolor=INK, handlelength=3)
