"""Progress reports."""

import json
from pathlib import Path

import pytest
from mrc_train import progress
from mrc_train.progress import ProgressReporter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def steps(reporter: ProgressReporter, clock: list[float], numbers: range, seconds: float) -> list[str]:
    lines = []
    for number in numbers:
        clock[0] += seconds
        if line := reporter.step_finished(number, epoch=1, loss=2.0):
            lines.append(line.line())
    return lines


def test_a_line_comes_every_few_seconds_and_at_the_end(tmp_path: Path, clock: list[float]) -> None:
    reporter = ProgressReporter(tmp_path / "progress.json", steps=20, epochs=1, images_per_step=8)
    lines = steps(reporter, clock, range(1, 21), seconds=1.0)
    assert lines == [
        "progress step=6/20 epoch=1/1 loss=2.0000 images_per_second=8.0 eta=0:00:14",
        "progress step=11/20 epoch=1/1 loss=2.0000 images_per_second=8.0 eta=0:00:09",
        "progress step=16/20 epoch=1/1 loss=2.0000 images_per_second=8.0 eta=0:00:04",
        "progress step=20/20 epoch=1/1 loss=2.0000 images_per_second=8.0 eta=0:00:00",
    ]


def test_the_file_holds_what_the_line_says(tmp_path: Path, clock: list[float]) -> None:
    reporter = ProgressReporter(tmp_path / "progress.json", steps=6, epochs=1, images_per_step=8)
    steps(reporter, clock, range(1, 7), seconds=2.0)
    report = json.loads((tmp_path / "progress.json").read_text())
    assert report.pop("time").endswith("+00:00")
    assert report.pop("heartbeat").endswith("+00:00")
    assert report == {
        "step": 6,
        "steps": 6,
        "epoch": 1,
        "epochs": 1,
        "loss": 2.0,
        "images_per_second": 4.0,
        "eta_seconds": 0,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_an_evaluation_between_two_steps_does_not_count_as_slow_training(
    tmp_path: Path, clock: list[float]
) -> None:
    reporter = ProgressReporter(tmp_path / "progress.json", steps=20, epochs=2, images_per_step=8)
    steps(reporter, clock, range(1, 11), seconds=1.0)
    reporter.pause()
    clock[0] += 60
    steps(reporter, clock, range(11, 21), seconds=1.0)
    assert reporter.images_per_second == 8.0


def test_the_eta_counts_the_evaluations_to_come_as_long_as_the_last_one(
    tmp_path: Path, clock: list[float]
) -> None:
    reporter = ProgressReporter(
        tmp_path / "progress.json", steps=60, epochs=6, images_per_step=8, evaluation_period=20
    )
    assert steps(reporter, clock, range(1, 11), seconds=1.0)[-1].endswith("eta=0:00:54")
    steps(reporter, clock, range(11, 21), seconds=1.0)
    reporter.pause()
    clock[0] += 30  # the evaluation after 20 steps
    steps(reporter, clock, range(21, 31), seconds=1.0)
    reporter.pause()
    clock[0] += 5  # a checkpoint after 30 steps
    # Until step 60: 29 more steps, and the evaluations after steps 40 and 60.
    (first, *_) = steps(reporter, clock, range(31, 41), seconds=1.0)
    assert first.startswith("progress step=31/60") and first.endswith("eta=0:01:29")


def test_the_last_eta_is_that_of_the_last_evaluation_until_it_has_ended(
    tmp_path: Path, clock: list[float]
) -> None:
    file = tmp_path / "progress.json"
    reporter = ProgressReporter(file, steps=4, epochs=2, images_per_step=8, evaluation_period=2)
    steps(reporter, clock, range(1, 3), seconds=1.0)
    reporter.pause()
    clock[0] += 30
    steps(reporter, clock, range(3, 5), seconds=1.0)
    assert json.loads(file.read_text())["eta_seconds"] == 30
    reporter.end()
    assert json.loads(file.read_text())["eta_seconds"] == 0


def test_half_a_minute_after_the_first_step_the_eta_is_right_within_a_factor_of_one_and_a_half(
    tmp_path: Path, clock: list[float]
) -> None:
    """The first steps are slow, and evaluations take longer than the reporter can know yet."""
    reporter = ProgressReporter(
        tmp_path / "progress.json", steps=1200, epochs=12, images_per_step=8, evaluation_period=200
    )
    etas: list[tuple[float, float]] = []
    for number in range(1, 1201):
        clock[0] += {1: 8.0, 2: 3.0, 3: 1.0}.get(number, 0.15)
        if report := reporter.step_finished(number, epoch=1, loss=2.0):
            assert report.eta_seconds is not None
            etas.append((clock[0], report.eta_seconds))
        if number % 100 == 0:
            reporter.pause()
            clock[0] += 4.0 if number % 200 == 0 else 0.5
    end = clock[0]
    for at, eta in etas:
        if 130 <= at < end - 10:
            assert 1 / 1.5 < eta / (end - at) < 1.5, at


def test_the_heartbeat_is_renewed_while_no_step_finishes(tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "progress.json"
    reporter = ProgressReporter(path, steps=6, epochs=1, images_per_step=8)
    reporter.heartbeat()
    assert not path.exists()
    steps(reporter, clock, range(1, 7), seconds=2.0)
    path.unlink()
    reporter.heartbeat()
    assert not path.exists()
    clock[0] += 21
    reporter.heartbeat()
    report = json.loads(path.read_text())
    assert report["step"] == 6 and report["heartbeat"] >= report["time"]


def test_a_report_that_cannot_be_written_is_logged_once_and_the_next_one_is_tried(
    tmp_path: Path, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "missing" / "progress.json"
    reporter = ProgressReporter(path, steps=20, epochs=1, images_per_step=8)
    assert len(steps(reporter, clock, range(1, 13), seconds=2.0)) > 1
    assert caplog.text.count("cannot be written: No such file or directory; training continues") == 1
    path.parent.mkdir()
    steps(reporter, clock, range(13, 21), seconds=2.0)
    assert json.loads(path.read_text())["step"] == 20
