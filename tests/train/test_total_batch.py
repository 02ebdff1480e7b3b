"""A run resumes only with the total batch that its steps count."""

import shutil
from pathlib import Path

import pytest
import tiny

LONGER = ("TRAIN.STEPS_PER_EPOCH=3", "TRAIN.LR_EPOCH_SCHEDULE=[(3, None)]", "TRAIN.EVAL_PERIOD=0")


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A run of six steps with one image each."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_more_ranks_are_rejected_in_one_line(copy: Path, tiny_scenes: Path) -> None:
    done = tiny.train_two_ranks(tiny.QUICK_TRAIN, copy, tiny_scenes, *LONGER)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "mrc-train: error: " in line]
    assert f"{copy / 'model-6'}: this run has a total batch of 1 images, not 2" in line
    assert "or --load it into a new directory" in line


def test_fewer_ranks_resume_with_accumulated_gradients_as_the_error_says(
    tiny_scenes: Path, tmp_path: Path
) -> None:
    one_epoch = ("TRAIN.STEPS_PER_EPOCH=3", "TRAIN.LR_EPOCH_SCHEDULE=[(1, None)]", "TRAIN.EVAL_PERIOD=0")
    two = tiny.train_two_ranks(tiny.QUICK_TRAIN, tmp_path, tiny_scenes, *one_epoch)
    assert two.returncode == 0, two.stdout + two.stderr
    rejected = tiny.train(tmp_path, tiny_scenes, *LONGER)
    assert rejected.returncode == 1
    assert "this run has a total batch of 2 images, not 1" in rejected.stderr
    assert "set TRAIN.GRADIENT_ACCUMULATION=2 to keep it" in rejected.stderr
    assert rejected.stderr.count("\n") == 1
    resumed = tiny.train(tmp_path, tiny_scenes, *LONGER, "TRAIN.GRADIENT_ACCUMULATION=2")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"resuming from {tmp_path / 'model-3'}" in resumed.stdout
    assert "run_end outcome=finished step=9 steps=9" in resumed.stdout
