"""Splits of the data set to train and to evaluate on."""

import re
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Problem, rule

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@rule(
    "MRC034",
    Severity.ERROR,
    "splits are called like folders",
    failing="maskrcnn: {data_train: '[\"train2017\"'}",
    passing="maskrcnn: {data_train: '[\"train2017\"]'}",
)
def splits_are_names(context: Context) -> Iterator[Problem]:
    """A split NAME is the folder <data_dir>/NAME with annotations/instances_NAME.json; coco_NAME is the same.
    A list that lacks a bracket or quote is one long name, and the trainer finds no such folder."""
    for value in ("data_train", "data_val"):
        wrong = [name for name in _splits(context, value) if not _NAME.fullmatch(name)]
        if wrong:
            yield Problem(
                f"maskrcnn.{value}", f"{wrong[0]} is no name of a split.", "Write it like '[\"train2017\"]'."
            )


@rule(
    "MRC035",
    Severity.WARNING,
    "what is evaluated was not trained on",
    failing="maskrcnn: {data_train: [train2017, val2017], data_val: [val2017]}",
    passing="maskrcnn: {data_train: [train2017], data_val: [val2017]}",
)
def evaluation_has_its_own_split(context: Context) -> Iterator[Problem]:
    """Pictures that the model was trained on say nothing about others: its AP rises to 1 while it gets worse.
    Where training is on a val split and evaluation on a train split, the two were swapped: an error."""
    train, val = (_splits(context, name) for name in ("data_train", "data_val"))
    if train and val and all("val" in name for name in train) and all("train" in name for name in val):
        yield Problem(
            "maskrcnn.data_train",
            f"the training is on {train[0]} and the evaluation on {val[0]}.",
            "Swap data_train and data_val.",
            Severity.ERROR,
        )
    elif both := sorted(set(train) & set(val)):
        yield Problem(
            "maskrcnn.data_val",
            f"{both[0]} is in data_train too.",
            "Evaluate on pictures that the training does not see.",
        )


def _splits(context: Context, name: str) -> list[str]:
    """Names of a list, or of Python's text of one, without the coco_ that changes nothing."""
    from mrc_train.config import parse_literal

    value = context.values.get(f"maskrcnn.{name}")
    if context.refused(f"maskrcnn.{name}"):
        return []
    if isinstance(value, str) and value:
        value = parse_literal(value)
    names = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return [name.removeprefix("coco_") for name in names if isinstance(name, str)]
