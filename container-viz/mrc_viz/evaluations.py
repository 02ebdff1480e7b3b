"""The COCO metrics of a run's evaluations, as a table."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mrc_train.run_directory import QUOTED_METRICS, quoted_metric

from mrc_viz.runs import History


class Metric(NamedTuple):
    """A scalar of the history that people quote; ``split`` is empty when there is only one."""

    scalar: str
    split: str
    name: str


def quoted_metrics(history: History) -> list[Metric]:
    """The quoted metrics in the history, split by split, each in the order of ``QUOTED_METRICS``."""
    metrics = [Metric(scalar, *quoted) for scalar in history if (quoted := quoted_metric(scalar))]
    splits = list(dict.fromkeys(metric.split for metric in metrics))
    return sorted(metrics, key=lambda metric: (splits.index(metric.split), QUOTED_METRICS.index(metric.name)))


@dataclass(frozen=True)
class Table:
    """Cells of text under a header. ``str()`` gives plain text; a notebook shows it as HTML."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (self.header, *self.rows)
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "\n".join(row(cells, "td") for cells in self.rows)
        return f"<table>\n<thead>{row(self.header, 'th')}</thead>\n<tbody>{body}</tbody>\n</table>"


def evaluation_table(history: History) -> Table:
    """One row per evaluation: step, split if there are several, loss and the quoted metrics.

    A metric without any object to compute it from (-1 in pycocotools) is shown as "-".
    """
    metrics = quoted_metrics(history)
    names = list(dict.fromkeys(metric.name for metric in metrics))
    splits = list(dict.fromkeys(metric.split for metric in metrics))
    steps = sorted({step for metric in metrics for step in history[metric.scalar].steps.tolist()})
    scalars = {(metric.split, metric.name): metric.scalar for metric in metrics}
    several = len(splits) > 1
    rows = [
        [
            str(step),
            *([split] if several else []),
            _cell(history, "loss/total", step),
            *(_cell(history, scalars.get((split, name), ""), step) for name in names),
        ]
        for step in steps
        for split in splits
    ]
    return Table(["step", *(["split"] if several else []), "loss", *names], rows)


def _cell(history: History, scalar: str, step: int) -> str:
    series = history.get(scalar)
    values = series.values[series.steps == step] if series else []
    return f"{values[-1]:.3f}" if len(values) and values[-1] >= 0 else "-"
