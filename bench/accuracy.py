"""Accuracy of the examples after minutes of training, over several seeds, with ``mrc-values local up``.

    .venv/bin/python bench/accuracy.py [--trial NAME ...] [--seeds N ...] [--photos DIRECTORY]

Trials, from charts/maskrcnn/examples: ``short`` and ``scenes`` train on drawn scenes (drawn-scenes.yaml),
``photos`` on images in DIRECTORY, in COCO's layout with the splits train2017 and val2017 (photos.yaml).
Prints a table with the minutes that the command took, including evaluations, the seconds that its training
steps took, including the first, and AP50 of the last evaluation.
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
        # Cosine decay to zero would spend half of such a short run on small steps.
        "TRAIN.LR_DECAY=step",
        "TRAIN.WARMUP=50",
        # With four classes, class-specific outputs would be trained on only a quarter of the objects each.
        "FRCNN.CLASS_AGNOSTIC=True",
        "MRCNN.CLASS_AGNOSTIC=True",
        # The objects are about as wide as high.
        "RPN.ANCHOR_RATIOS=(1.0,)",
        # Less work per step with the same number of foreground RoIs.
        "FRCNN.BATCH_PER_IM=16",
        "FRCNN.FG_RATIO=0.5",
        "MRCNN.HEAD_DIM=32",
    ],
}
"""Values that ``short`` adds to those of the example or replaces; training steps take about a minute."""


def values_of(trial: str, seed: int, data_dir: str) -> dict[str, Any]:
    """The values of a trial with a seed."""
    example = yaml.safe_load((CHART / "examples" / EXAMPLES[trial]).read_text())
    job, overrides = example["maskrcnn"], SHORT if trial == "short" else {"extra_config": []}
    extra = [*job["extra_config"], *overrides["extra_config"], f"TRAIN.SEED={seed}"]
    return {"maskrcnn": job | overrides | {"data_dir": data_dir, "extra_config": extra}}


def run_trial(values: Mapping[str, Any], data: Path) -> tuple[float, float, dict[str, float]]:
    """Minutes of the complete command, seconds of its training steps, and the last entry of stats.json.

    The steps include the first, which optimizes the graph. Exits with the output of a command that fails.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values)))
        started = time.monotonic()
        options = ("--dir", directory, "--data-fs", data.parent)
        done = subprocess.run(
            [BIN / "mrc-values", "local", "up", "trial", CHART, "-f", file, *options, "--no-tensorboard"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        minutes = (time.monotonic() - started) / 60
        if done.returncode:
            sys.exit(f"exit code {done.returncode}\n{done.stdout[-3000:]}")
        (run,) = Path(directory).glob("*fs/*/trial")
        return minutes, sum(epoch_seconds(run)), json.loads((run / "stats.json").read_text())[-1]


def main() -> None:
    """Run the trials and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--trial", choices=EXAMPLES, action="append", help="(default: all that have data)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(%(default)s)")
    parser.add_argument("--photos", type=Path, metavar="DIRECTORY")
    arguments = parser.parse_args()
    trials = arguments.trial or [name for name in EXAMPLES if name != "photos" or arguments.photos]
    if "photos" in trials and not (arguments.photos and (arguments.photos / "annotations").is_dir()):
        parser.error("the trial photos needs --photos DIRECTORY, and annotations/ in that directory")
    with tempfile.TemporaryDirectory() as directory:
        scenes = Path(directory) / "scenes"
        subprocess.run([BIN / "mrc-scenes", scenes], check=True, stdout=subprocess.DEVNULL)
        print("| trial | seed | minutes | seconds of steps | split | box AP50 | mask AP50 |")
        print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for trial in trials:
            data = arguments.photos.resolve() if trial == "photos" else scenes
            for seed in arguments.seeds:
                minutes, seconds, last = run_trial(values_of(trial, seed, data.name), data)
                for name in sorted(name for name in last if name.endswith("bbox/AP50")):
                    split = name.removesuffix("bbox/AP50").rstrip("/") or "val2017"
                    figures = f"{last[name]:.3f} | {last[name.replace('bbox', 'segm')]:.3f}"
                    row = f"{trial} | {seed} | {minutes:.1f} | {seconds:.0f} | {split} | {figures}"
                    print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
