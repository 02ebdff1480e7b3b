"""``mrc-report``: the result of a run as a table, its curves, and images with detections."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from mrc_cli import command
from mrc_cli.arguments import ArgumentParser
from mrc_cli.files import write_atomically
from mrc_cli.terminal import printable, result, say

from mrc_viz.evaluations import Table, evaluation_table
from mrc_viz.runs import read_history, validation_splits


def parser() -> ArgumentParser:
    """The command line."""
    out = ArgumentParser(
        prog="mrc-report",
        description="Show the result of a training run: print a table of its evaluations, and write to DIR "
        "its curves (curves.png) and detections beside ground truth (detections.png, or "
        "detections-SPLIT.png for each split if the run has several validation splits).",
        epilog="Example: mrc-report /efs/kubeflow/maskrcnn --images 12",
    )
    out.add_argument("run", metavar="RUN", type=Path, help="directory of the run")
    out.add_argument(
        "--output", metavar="DIR", type=Path, help="directory for the files (default: RUN/report)"
    )
    out.add_argument(
        "--images",
        metavar="N",
        type=_natural,
        default=6,
        help="number of images per split to run the model on; 0 for none (default: %(default)s)",
    )
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Console entry point; exits with 1 and one line on stderr if the report cannot be made."""
    arguments = parser().parse_args(argv)
    output = arguments.output or arguments.run / "report"
    try:
        command.run("mrc-report", lambda: report(arguments.run, output, arguments.images))
    except KeyboardInterrupt:
        sys.exit(130)


def report(run: Path, output: Path, images: int) -> None:
    """Print the table and write the files to ``output``, printing their paths to stdout as well.

    Raises:
        RunDirectoryError, DataError, UnreadableImage, OSError: for files that cannot be read or written.
    """
    history = read_history(run)
    table = evaluation_table(history)
    if table.rows:
        _print(table)
    else:
        say(f"mrc-report: {run}: no evaluation yet")
    output.mkdir(parents=True, exist_ok=True)

    # matplotlib and TensorFlow take seconds to import; mistakes should be reported before that.
    from mrc_viz.curves import plot_curves

    curves = output / "curves.png"
    drawn = io.BytesIO()
    plot_curves(history).savefig(drawn)
    write_atomically(curves, drawn.getvalue())
    result(str(curves))
    if not images:
        return
    splits = validation_splits(run)

    from mrc_train.predictor import Predictor

    from mrc_viz.gallery import detection_sheet, encode_png, sample_images

    predictor = Predictor.load(run)
    for split in splits:
        path = output / ("detections.png" if len(splits) == 1 else f"detections-{split.name}.png")
        write_atomically(path, encode_png(detection_sheet(predictor, split, sample_images(split, images))))
        result(str(path))


def _print(table: Table) -> None:
    if not sys.stdout.isatty():
        result(str(table))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD)
    for name in table.header:
        drawn.add_column(name, justify="right")
    for row in table.rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(drawn)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 0")
    return int(text)


if __name__ == "__main__":
    main()
