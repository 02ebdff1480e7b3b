"""``mrc-predict``: detect objects in images, evaluate a model on a validation split, or export it."""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from mrc_cli import command
from mrc_cli.arguments import ArgumentParser
from mrc_cli.errors import UsageError, UserError
from mrc_cli.files import write_atomically
from mrc_cli.progress import tracked
from mrc_cli.terminal import result, say

from mrc_train.config import add_config_argument
from mrc_train.data.coco import check_categories, load_split
from mrc_train.data.decoding import UnreadableImage
from mrc_train.data.images import read_image
from mrc_train.drawing import draw_detections
from mrc_train.evaluation.coco_metrics import evaluate
from mrc_train.evaluation.detections import to_named_results
from mrc_train.prediction_files import check_output_directory, check_output_file, find_images, result_names

if TYPE_CHECKING:
    from mrc_train.predictor import Predictor


def parser() -> ArgumentParser:
    """The command line."""
    out = ArgumentParser(
        prog="mrc-predict",
        description="Detect with a trained model. Settings and classes come from the run's directory.",
        epilog="Example: mrc-predict --load runs/first --predict a.jpg b.jpg --output drawings",
    )
    out.add_argument(
        "--load",
        required=True,
        metavar="RUN",
        help="the run's directory, model-<step> in it, or an .npz of tensorpack's example",
    )
    action = out.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--predict",
        nargs="+",
        metavar="IMG",
        help="draw the detections in images, directories or glob patterns",
    )
    action.add_argument(
        "--evaluate",
        type=Path,
        metavar="OUT.json",
        help="detect in DATA.VAL, write COCO results, print the metrics",
    )
    action.add_argument(
        "--export",
        type=Path,
        metavar="DIR",
        help="write a SavedModel for serving; to NAME.npz: the weights in tensorpack's names",
    )
    out.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="directory for NAME-detections.png, written by --predict",
    )
    out.add_argument("--json", type=Path, metavar="FILE", help="with --predict: write the detections as JSON")
    add_config_argument(
        out, "settings that take precedence over the run's, such as DATA.VAL or TEST.RESULT_SCORE_THRESH"
    )
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Console entry; an error that the user can fix ends it with one line on stderr and exit code 1."""
    arguments = parser().parse_args(argv)
    command.run("mrc-predict: error", lambda: _predict(arguments))


def _predict(arguments: argparse.Namespace) -> None:
    if arguments.json and not arguments.predict:
        raise UsageError("--json needs --predict")
    images = find_images(arguments.predict or [])
    if images:
        check_output_directory(arguments.output)
    for file in filter(None, (arguments.json, arguments.evaluate)):
        check_output_file(file)

    # TensorFlow takes seconds to import: not for --help and mistakes in file names.
    from mrc_train.predictor import Predictor

    predictor = Predictor.load(arguments.load, arguments.config)
    if images:
        predict(predictor, images, arguments.output, arguments.json)
    elif arguments.evaluate:
        evaluate_splits(predictor, arguments.evaluate)
    else:
        predictor.export(arguments.export)
        result(str(arguments.export))


def predict(predictor: "Predictor", images: Sequence[Path], directory: Path, json_file: Path | None) -> None:
    """Draw the detections in each image; prints the drawing's path and what was detected.

    Raises:
        UserError: at the end, when some images could not be read.
    """
    threshold = predictor.cfg.TEST.RESULT_SCORE_THRESH_VIS
    entries = []
    unreadable = 0
    for path, name in zip(images, result_names(images), strict=True):
        try:
            image = read_image(path)
        except UnreadableImage as error:
            say(f"mrc-predict: {error}")
            unreadable += 1
            continue
        detections = predictor(image).above(threshold)
        target = directory / f"{name}-detections.png"
        _, drawing = cv2.imencode(".png", draw_detections(image, detections, predictor.categories, threshold))
        write_atomically(target, drawing.tobytes())
        shown = to_named_results(detections, predictor.categories, *image.shape[:2])
        entries.append({"image": str(path), "detections": shown})
        names = [predictor.categories.name_of(int(label)) for label in detections.labels]
        counts = ", ".join(f"{count} {name}" for name, count in Counter(names).items()) or "nothing"
        result(f"{target}: {counts} with a score of {threshold} or more")
    if json_file:
        write_atomically(json_file, json.dumps(entries, indent=2))
    if unreadable:
        raise UserError(f"{unreadable} of {len(images)} images could not be read")


def evaluate_splits(predictor: "Predictor", output: Path) -> None:
    """Detect in every image of DATA.VAL; writes the results and prints the metrics.

    Raises:
        UserError: when DATA.VAL is empty.
        DataError: when a split's classes are not the model's.
    """
    cfg = predictor.cfg
    if not cfg.DATA.VAL:
        raise UserError("DATA.VAL names no split to evaluate on; pass --config DATA.VAL=<split>")
    splits = [load_split(cfg.DATA.BASEDIR, name, cfg.MODE_MASK) for name in cfg.DATA.VAL]
    for split in splits:
        check_categories(predictor.categories, str(predictor.checkpoint), split)
    for split in splits:
        say(f"mrc-predict: {predictor.checkpoint} on {split.name}, {len(split.records)} images")
        results = predictor.coco_results(tracked(split.records, f"mrc-predict: {split.name}", "images"))
        path = output if len(splits) == 1 else output.with_stem(f"{output.stem}-{split.name}")
        write_atomically(path, json.dumps(results))
        for metric, value in evaluate(split.annotation_file, results, masks=cfg.MODE_MASK).items():
            result(f"{split.name} {metric} {value:.4f}")


if __name__ == "__main__":
    main()
