"""``mrc-report``: what a run reached, as a table, its curves, and pictures of what it detects."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mrc_train.data.coco import DataError
from mrc_train.data.images import UnreadableImage
from mrc_train.errors import RunFolderError

from mrc_viz.evaluations import Table, evaluation_table
from mrc_viz.runs import read_history, validation_splits


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(
        prog="mrc-report",
        description="Show what a training run reached: a table of its evaluations, and in DIR its curves "
        "(curves.png) and detections beside the truth (detections.png; detections-SPLIT.png when the run has "
        "several validation splits).",
        epilog="Example: mrc-report /efs/kubeflow/maskrcnn --images 12",
    )
    out.add_argument("run", metavar="RUN", type=Path, help="the run's folder")
    out.add_argument("--output", metavar="DIR", type=Path, help="where the pictures go (default: RUN/report)")
    out.add_argument(
        "--images",
        metavar="N",
        type=_natural,
        default=6,
        help="images of each split to detect in; 0: none (default: %(default)s)",
    )
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Console entry; exits with 1 and one line on stderr when something is wrong."""
    arguments = parser().parse_args(argv)
    try:
        report(arguments.run, arguments.output or arguments.run / "report", arguments.images)
    except (DataError, RunFolderError, UnreadableImage) as error:
        _leave(str(error))
    except OSError as error:
        _leave(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


def report(run: Path, output: Path, images: int) -> None:
    """Prints the table and writes the pictures into ``output``; stdout also gets their paths.

    Raises:
        RunFolderError, DataError, UnreadableImage, OSError: for what cannot be read or written.
    """
    history = read_history(run)
    table = evaluation_table(history)
    if table.rows:
        _print(table)
    else:
        print(f"mrc-report: {run}: no evaluation yet", file=sys.stderr)
    output.mkdir(parents=True, exist_ok=True)

    # Here and not above: matplotlib and TensorFlow take seconds to import, and mistakes are told before that.
    from mrc_viz.curves import plot_curves

    curves = output / "curves.png"
    plot_curves(history).savefig(curves)
    print(curves, flush=True)
    if not images:
        return
    splits = validation_splits(run)

    from mrc_train.predictor import Predictor

    from mrc_viz.gallery import detection_sheet, pick, png

    predictor = Predictor.load(run)
    for split in splits:
        path = output / ("detections.png" if len(splits) == 1 else f"detections-{split.name}.png")
        path.write_bytes(png(detection_sheet(predictor, split, pick(split, images))))
        print(path, flush=True)


def _print(table: Table) -> None:
    if not sys.stdout.isatty():
        print(table)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn

    drawn = Drawn(box=box.SIMPLE_HEAD)
    for name in table.header:
        drawn.add_column(name, justify="right")
    for row in table.rows:
        drawn.add_row(*row)
    Console().print(drawn)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _leave(message: str) -> None:
    print(f"mrc-report: error: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
