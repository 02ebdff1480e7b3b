"""Training and validation splits of the data set."""

import re
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Violation, rule

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@rule(
    "MRC034",
    Severity.ERROR,
    "split names are valid",
    failing="maskrcnn: {data_train: '[\"train2017\"'}",
    passing="maskrcnn: {data_train: '[\"train2017\"]'}",
)
def splits_are_names(context: Context) -> Iterator[Violation]:
    """The split NAME is the directory <data_dir>/NAME with annotations/instances_NAME.json; coco_NAME is
    the same split. A list with a missing bracket or quote is parsed as one long name, and the trainer does
    not find that directory."""
    for value in ("data_train", "data_val"):
        wrong = [name for name in _splits(context, value) if not _NAME.fullmatch(name)]
        if wrong:
            yield Violation(
                f"maskrcnn.{value}",
                f"{wrong[0]} is not the name of a split.",
                "Write it like '[\"train2017\"]'.",
            )


@rule(
    "MRC035",
    Severity.WARNING,
    "training and validation splits do not overlap",
    failing="maskrcnn: {data_train: [train2017, val2017], data_val: [val2017]}",
    passing="maskrcnn: {data_train: [train2017], data_val: [val2017]}",
)
def evaluation_has_its_own_split(context: Context) -> Iterator[Violation]:
    """Metrics on images that the model was trained on do not measure how well it generalizes: AP rises to
    1 while the model overfits. Training on a val split and evaluating on a train split is an error,
    because the two were swapped."""
    train, val = (_splits(context, name) for name in ("data_train", "data_val"))
    if train and val and all("val" in name for name in train) and all("train" in name for name in val):
        yield Violation(
            "maskrcnn.data_train",
            f"trains on {train[0]} and evaluates on {val[0]}.",
            "Swap data_train and data_val.",
            Severity.ERROR,
        )
    elif both := sorted(set(train) & set(val)):
        yield Violation(
            "maskrcnn.data_val",
            f"{both[0]} is also in data_train.",
            "Evaluate on images that are not used for training.",
        )


def _splits(context: Context, name: str) -> list[str]:
    """Split names from a list or a Python literal of one, without the optional prefix coco_."""
    from mrc_train.config import parse_literal

    value = context.values.get(f"maskrcnn.{name}")
    if context.rejected(f"maskrcnn.{name}"):
        return []
    if isinstance(value, str) and value:
        value = parse_literal(value)
    names = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return [name.removeprefix("coco_") for name in names if isinstance(name, str)]
