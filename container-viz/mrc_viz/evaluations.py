"""The COCO metrics that a run reached, as a table."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mrc_viz.runs import History

HEADLINE = {"bbox/AP50": "box AP50", "segm/AP50": "mask AP50", "bbox/AP": "box AP", "segm/AP": "mask AP"}
"""COCO's metrics that people quote, in the order of the table, and what they are called in it."""


class Metric(NamedTuple):
    """A scalar of the history that is a quoted metric of a validation split ("" when there is only one)."""

    scalar: str
    split: str
    name: str


def metrics(history: History) -> list[Metric]:
    """The quoted metrics that the history has, split by split, each in the order of ``HEADLINE``."""
    pattern = re.compile(rf"(?:(.+)/)?({'|'.join(HEADLINE)})")
    found = [(scalar, match) for scalar in history if (match := pattern.fullmatch(scalar))]
    splits = dict.fromkeys(match[1] or "" for _, match in found)
    names = [(split, metric) for split in splits for metric in HEADLINE]
    return [
        Metric(scalar, split, HEADLINE[metric])
        for split, metric in names
        if (scalar := f"{split}/{metric}" if split else metric) in history
    ]


@dataclass(frozen=True)
class Table:
    """Cells of text under a header: plain by ``str()``, drawn by a notebook."""

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
    """One row for each evaluation: step, split when there are several, loss and the quoted metrics.

    A metric without any object to count it on (-1 of pycocotools) is shown as "-".
    """
    found = metrics(history)
    names = list(dict.fromkeys(metric.name for metric in found))
    splits = list(dict.fromkeys(metric.split for metric in found))
    steps = sorted({step for metric in found for step in history[metric.scalar].steps.tolist()})
    scalars = {(metric.split, metric.name): metric.scalar for metric in found}
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
