"""The COCO metrics that a run reached, as a table."""

import html
import math
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
    """One row for each evaluation: step, loss and the quoted metrics, of each split when there are several.

    A metric without any object to count it on (-1 of pycocotools) is shown as "-".
    """
    found = metrics(history)
    several = len({metric.split for metric in found}) > 1
    columns = {"loss/total": "loss"} | {
        metric.scalar: f"{metric.split} {metric.name}" if several else metric.name for metric in found
    }
    values = {
        scalar: dict(zip(history[scalar].steps.tolist(), history[scalar].values.tolist(), strict=True))
        for scalar in columns
        if scalar in history
    }
    steps = sorted({step for metric in found for step in values[metric.scalar]})
    rows = [
        [str(step), *(_cell(of_steps.get(step, math.nan)) for of_steps in values.values())] for step in steps
    ]
    return Table(["step", *(columns[scalar] for scalar in values)], rows)


def _cell(value: float) -> str:
    return f"{value:.3f}" if value >= 0 else "-"
