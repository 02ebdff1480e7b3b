"""``mrc-predict``: use a trained model on pictures, score it on a validation split, or export it."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from mrc_cli import command
from mrc_cli.terminal import result
from tqdm import tqdm

from mrc_train.config import add_config_argument
from mrc_train.data.coco import load_split
from mrc_train.data.images import read_image
from mrc_train.drawing import draw_detections
from mrc_train.evaluation.coco_metrics import evaluate

if TYPE_CHECKING:
    from mrc_train.predictor import Predictor


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(
        prog="mrc-predict",
        description="Detect with a trained model. Settings and classes come from the run's folder.",
        epilog="Example: mrc-predict --load runs/first --predict a.jpg b.jpg --output pictures",
    )
    out.add_argument(
        "--load",
        required=True,
        metavar="RUN",
        help="the run's folder, model-<step> in it, or an .npz of tensorpack's example",
    )
    action = out.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--predict", nargs="+", type=Path, metavar="IMG", help="draw the detections of these pictures"
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
        help="where --predict writes NAME-detections.png",
    )
    add_config_argument(out, "settings in place of the run's, such as DATA.VAL or TEST.RESULT_SCORE_THRESH")
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Console entry; an error that the user can fix ends it with one line on stderr and exit code 1."""
    arguments = parser().parse_args(argv)
    command.run("mrc-predict: error", lambda: _predict(arguments))


def _predict(arguments: argparse.Namespace) -> None:
    # TensorFlow takes seconds to import: not for --help.
    from mrc_train.predictor import Predictor

    predictor = Predictor.load(arguments.load, arguments.config)
    if arguments.predict:
        draw(predictor, arguments.predict, arguments.output)
    elif arguments.evaluate:
        score(predictor, arguments.evaluate)
    else:
        predictor.export(arguments.export)
        result(str(arguments.export))


def draw(predictor: "Predictor", pictures: Sequence[Path], folder: Path) -> None:
    """Write one picture with detections for each; prints its path and what was found."""
    folder.mkdir(parents=True, exist_ok=True)
    threshold = predictor.cfg.TEST.RESULT_SCORE_THRESH_VIS
    for path in pictures:
        picture = read_image(path)
        found = predictor(picture).above(threshold)
        target = folder / f"{path.stem}-detections.png"
        cv2.imwrite(str(target), draw_detections(picture, found, predictor.categories, threshold))
        names = [predictor.categories.name_of(int(label)) for label in found.labels]
        counts = ", ".join(f"{count} {name}" for name, count in Counter(names).items()) or "nothing"
        result(f"{target}: {counts} with a score of {threshold} or more")


def score(predictor: "Predictor", output: Path) -> None:
    """Detect in every picture of DATA.VAL; writes the results and prints the metrics."""
    cfg = predictor.cfg
    for name in cfg.DATA.VAL:
        split = load_split(cfg.DATA.BASEDIR, name, cfg.MODE_MASK)
        results = predictor.coco_results(tqdm(split.records, desc=name, unit="picture", file=sys.stderr))
        path = output if len(cfg.DATA.VAL) == 1 else output.with_stem(f"{output.stem}-{split.name}")
        path.write_text(json.dumps(results))
        for metric, value in evaluate(split.annotation_file, results, masks=cfg.MODE_MASK).items():
            result(f"{split.name} {metric} {value:.4f}")


if __name__ == "__main__":
    main()
