"""A failed evaluation neither stops training nor costs a checkpoint."""

import json
import shutil
from pathlib import Path

import tiny
from mrc_train.run_directory import checkpoint_steps
from mrc_train.run_lines import EvaluationFailed, summarize

SCRIPT = Path(__file__).with_name("failing_evaluation.py")


def test_an_evaluation_that_fails_is_reported_and_training_continues(
    tiny_scenes: Path, tmp_path: Path
) -> None:
    """The first one fails in detection on one rank, the second in scoring."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = (
        "TRAIN.STEPS_PER_EPOCH=2",
        "TRAIN.LR_EPOCH_SCHEDULE=[(3, None)]",
        "TRAIN.CHECKPOINT_PERIOD=99",
        *tiny.C4,
    )
    done = tiny.train_two_ranks(["python", SCRIPT], tmp_path, tiny_scenes, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for step in (2, 4):
        until_next = lines[: _index(lines, f"step={step + 2} split=val2017")]
        assert summarize(until_next).failed == EvaluationFailed(step, "val2017", "KeyError: 'area'")
    assert summarize(lines).metrics.keys() == {"bbox/AP", "bbox/AP50", "segm/AP", "segm/AP50"}
    assert checkpoint_steps(tmp_path) == [2, 4, 6]
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert ["bbox/AP" in entry for entry in stats] == [False, False, True]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert any("evaluation_failed/val2017" in tag for tag in events.Tags()["tensors"])


def _index(lines: list[str], text: str) -> int:
    return next(number for number, line in enumerate(lines) if text in line)


DAMAGED = {
    "stats.json": b'[{"loss": "x"}, 7]',
    "categories.json": b'[{"loss": 1}',
    "data.json": b"\x00\x01\xff",
    "progress.json": b"",
    "config.yaml": b"\x00\x01\xff",
    "checkpoint": b"",
    "model-best.index": b"\x00\x01\xff",
    "model-7.index": b"",
}


def test_a_run_resumes_when_all_its_side_files_are_damaged(
    finished: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    logdir = tmp_path / "run"
    shutil.copytree(finished, logdir)
    for name, content in DAMAGED.items():
        (logdir / name).write_bytes(content)
    settings = ("TRAIN.STEPS_PER_EPOCH=3", "TRAIN.LR_EPOCH_SCHEDULE=[(3, None)]", "TRAIN.EVAL_PERIOD=0")
    done = tiny.train(logdir, tiny_scenes, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"resuming from {logdir / 'model-6'}" in done.stdout
    assert "run_end outcome=finished step=9 steps=9" in done.stdout
    assert json.loads((logdir / "stats.json").read_text())[-1]["global_step"] == 9
    assert "Traceback" not in done.stderr


def test_annotations_as_cvat_writes_them_are_evaluated_twice(tiny_scenes: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_scenes, data)
    for split in ("train2017", "val2017"):
        file = data / "annotations" / f"instances_{split}.json"
        content = json.loads(file.read_text())
        content["licenses"] = [{"name": "", "id": 0, "url": ""}]
        content["info"] = {"contributor": "", "date_created": "", "year": ""}
        for image in content["images"]:
            image |= {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
        for entry in content["annotations"]:
            entry |= {"attributes": {"occluded": False}, "iscrowd": None, "area": str(entry["area"])}
        file.write_text(json.dumps(content))
    done = tiny.train(
        tmp_path / "run", data, "TRAIN.STEPS_PER_EPOCH=2", "TRAIN.LR_EPOCH_SCHEDULE=[(2, None)]", *tiny.C4
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [
        line.split(" images=")[0] for line in done.stdout.splitlines() if line.startswith("evaluation")
    ] == [
        "evaluation step=2 split=val2017",
        "evaluation step=4 split=val2017",
    ]
