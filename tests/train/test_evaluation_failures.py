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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("stats.json", ""),
        ("stats.json", '{"loss": 1}'),
        ("stats.json", '[{"loss": 1}]'),
        ("categories.json", "\x00\x01"),
        ("data.json", "[7]"),
        ("progress.json", "{"),
        ("model-best.index", "x"),
        ("model-7.index", ""),
    ],
)
def test_an_odd_file_in_the_run_directory_does_not_stop_a_resume(
    name: str, content: str, finished: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    logdir = tmp_path / "run"
    shutil.copytree(finished, logdir)
    (logdir / name).write_text(content)
    settings = ("TRAIN.STEPS_PER_EPOCH=3", "TRAIN.LR_EPOCH_SCHEDULE=[(3, None)]", "TRAIN.EVAL_PERIOD=0")
    done = tiny.train(logdir, tiny_scenes, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "run_end outcome=finished step=9 steps=9" in done.stdout
