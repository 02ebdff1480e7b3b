"""A failed evaluation neither stops training nor costs a checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
import tiny
from mrc_train.run_directory import checkpoint_steps
from mrc_train.run_lines import EvaluationFailed, summarize

SCRIPT = Path(__file__).with_name("failing_evaluation.py")
TWO_EPOCHS = ("TRAIN.STEPS_PER_EPOCH=2", "TRAIN.LR_EPOCH_SCHEDULE=[(2, None)]", "TRAIN.CHECKPOINT_PERIOD=99")


@pytest.mark.parametrize("stage", ["detect", "score"])
def test_an_evaluation_that_fails_is_reported_and_training_continues(
    stage: str, tiny_scenes: Path, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = tiny.train_two_ranks(["python", SCRIPT, stage], tmp_path, tiny_scenes, *TWO_EPOCHS)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert summarize(lines[: _index(lines, "step=4 split=val2017")]).failed == EvaluationFailed(
        2, "val2017", "KeyError: 'area'"
    )
    assert summarize(lines).metrics.keys() == {"bbox/AP", "bbox/AP50", "segm/AP", "segm/AP50"}
    assert checkpoint_steps(tmp_path) == [2, 4]
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert ["bbox/AP" in entry for entry in stats] == [False, True]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert any("evaluation_failed/val2017" in tag for tag in events.Tags()["tensors"])


def _index(lines: list[str], text: str) -> int:
    return next(number for number, line in enumerate(lines) if text in line)


SIDE_FILES = ("stats.json", "categories.json", "data.json", "progress.json", "config.yaml", "checkpoint")


@pytest.mark.parametrize("content", [b"", b'[{"loss": 1}', b"\x00\x01\xff", b'[{"loss": "x"}, 7]'])
def test_a_run_resumes_when_all_its_side_files_are_damaged(
    content: bytes, finished: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    logdir = tmp_path / "run"
    shutil.copytree(finished, logdir)
    for name in (*SIDE_FILES, "model-best.index", "model-7.index"):
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
        tmp_path / "run", data, "TRAIN.STEPS_PER_EPOCH=2", "TRAIN.LR_EPOCH_SCHEDULE=[(2, None)]"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [
        line.split(" images=")[0] for line in done.stdout.splitlines() if line.startswith("evaluation")
    ] == [
        "evaluation step=2 split=val2017",
        "evaluation step=4 split=val2017",
    ]
