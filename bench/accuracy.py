"""Accuracy of the examples after minutes of training, over several seeds of ``mrc-values local up``.

    .venv/bin/python bench/accuracy.py [--trial NAME ...] [--seeds N ...] [--photos DIRECTORY]

Trials, of charts/maskrcnn/examples: ``short`` and ``scenes`` train on drawn scenes (drawn-scenes.yaml),
``photos`` on DIRECTORY, images in COCO's layout with the splits train2017 and val2017 (photos.yaml). Prints a
table: minutes from the start of the command to its end, with all evaluations; seconds of the training steps
among them, from the first on; and AP50 of the last evaluation.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from epochs import epoch_seconds

BIN = Path(sys.executable).parent
CHART = Path(__file__).parents[1] / "charts" / "maskrcnn"

EXAMPLES = {"short": "drawn-scenes.yaml", "scenes": "drawn-scenes.yaml", "photos": "photos.yaml"}

SHORT: Mapping[str, Any] = {
    "lr_schedule": "[384]",
    "steps_per_epoch": 64,
    "eval_period_in_epochs": 6,
    "base_lr": 0.0015,
    "gradient_clip": 1,
    "extra_config": [
        # A cosine schedule down to zero would spend half of such a short run on small steps.
        "TRAIN.LR_DECAY=step",
        "TRAIN.WARMUP=50",
        # Weights of a single class learn from only a quarter of the objects.
        "FRCNN.CLASS_AGNOSTIC=True",
        "MRCNN.CLASS_AGNOSTIC=True",
        # The shapes are about as wide as they are high.
        "RPN.ANCHOR_RATIOS=(1.0,)",
        # Less work per step, with the same number of objects.
        "FRCNN.BATCH_PER_IM=16",
        "FRCNN.FG_RATIO=0.5",
        "MRCNN.HEAD_DIM=32",
    ],
}
"""Values of the trial ``short`` beside or in place of the example's: a minute of training steps."""


def values_of(trial: str, seed: int, data_dir: str) -> dict[str, Any]:
    """The values of an example with a seed."""
    example = yaml.safe_load((CHART / "examples" / EXAMPLES[trial]).read_text())
    job, more = example["maskrcnn"], SHORT if trial == "short" else {"extra_config": []}
    extra = [*job["extra_config"], *more["extra_config"], f"TRAIN.SEED={seed}"]
    return {"maskrcnn": job | more | {"data_dir": data_dir, "extra_config": extra}}


def train(values: Mapping[str, Any], data: Path) -> tuple[float, float, dict[str, float]]:
    """Minutes of the whole command, seconds of its training steps alone, and the last statistics.

    The first step, which prepares the graph, is one of them. Exits with the output of a command that fails.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values)))
        began = time.monotonic()
        where = ("--dir", directory, "--data-fs", data.parent)
        done = subprocess.run(
            [BIN / "mrc-values", "local", "up", "trial", CHART, "-f", file, *where, "--no-tensorboard"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        minutes = (time.monotonic() - began) / 60
        if done.returncode:
            sys.exit(f"exit code {done.returncode}\n{done.stdout[-3000:]}")
        (run,) = Path(directory).glob("*fs/*/trial")
        return minutes, sum(epoch_seconds(run)), json.loads((run / "stats.json").read_text())[-1]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--trial", choices=EXAMPLES, action="append", help="(default: all that have data)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(%(default)s)")
    parser.add_argument("--photos", type=Path, metavar="DIRECTORY")
    arguments = parser.parse_args()
    trials = arguments.trial or [name for name in EXAMPLES if name != "photos" or arguments.photos]
    if "photos" in trials and not (arguments.photos and (arguments.photos / "annotations").is_dir()):
        parser.error("the trial photos needs --photos DIRECTORY, with an annotations/ in the directory")
    with tempfile.TemporaryDirectory() as directory:
        scenes = Path(directory) / "scenes"
        subprocess.run([BIN / "mrc-scenes", scenes], check=True, stdout=subprocess.DEVNULL)
        print("| trial | seed | minutes | seconds of steps | images | box AP50 | mask AP50 |")
        print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for trial in trials:
            data = arguments.photos.resolve() if trial == "photos" else scenes
            for seed in arguments.seeds:
                minutes, seconds, last = train(values_of(trial, seed, data.name), data)
                for name in sorted(name for name in last if name.endswith("bbox/AP50")):
                    pictures = name.removesuffix("bbox/AP50").rstrip("/") or "val2017"
                    figures = f"{last[name]:.3f} | {last[name.replace('bbox', 'segm')]:.3f}"
                    row = f"{trial} | {seed} | {minutes:.1f} | {seconds:.0f} | {pictures} | {figures}"
                    print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
