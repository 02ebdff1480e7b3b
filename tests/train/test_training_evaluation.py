"""Evaluation during a run, and the end of a run at its target."""

import json
import re
from pathlib import Path

import coco_files
import pytest
import tiny
from mrc_train.evaluation.background import BackgroundScorer, Job, ScoringError
from mrc_train.evaluation.coco_metrics import evaluate
from mrc_train.run_directory import newest_checkpoint


def statistics(logdir: Path) -> list[dict[str, float]]:
    return json.loads((logdir / "stats.json").read_text())


def test_delayed_metrics_are_those_of_their_step(tiny_scenes: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = ("TRAIN.STEPS_PER_EPOCH=2", "TRAIN.LR_EPOCH_SCHEDULE=[(4, None)]", "TRAIN.EVAL_ASYNC=True")
    done = tiny.train(tmp_path, tiny_scenes, *settings, "TRAIN.BASE_LR=0.05")
    assert done.returncode == 0, done.stdout + done.stderr
    ground_truth = tiny_scenes / "annotations" / "instances_val2017.json"
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    in_events = {event.step: event.value for event in events.Scalars("bbox/AP50")}
    assert [entry["global_step"] for entry in statistics(tmp_path)] == [2, 4, 6, 8]
    for entry in statistics(tmp_path):
        step = entry["global_step"]
        results = json.loads((tmp_path / "result" / f"val2017-{step}.json").read_text())
        # A metric without objects, -1, is not a point of a curve.
        expected = {
            n: value for n, value in evaluate(ground_truth, results, masks=True).items() if value >= 0
        }
        assert "bbox/AP_large" not in entry
        assert {name: entry[name] for name in expected} == pytest.approx(expected, abs=1e-9)
        assert in_events[step] == pytest.approx(expected["bbox/AP50"], abs=1e-6)
        assert f"evaluation step={step} split=val2017 images=4 bbox/AP=" in done.stdout


def test_results_that_cannot_be_scored_are_an_error_and_the_next_ones_are_scored(tmp_path: Path) -> None:
    ground_truth = coco_files.write_split(
        tmp_path, [coco_files.image(1)], [coco_files.annotation(1, [0, 0, 9, 9])]
    )
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    scorer = BackgroundScorer()
    for step, results in ((1, tmp_path / "gone.json"), (2, empty)):
        scorer.submit(Job(step, "train2017", ground_truth, results, masks=True))
    (failed, error), (job, metrics) = scorer.finished(wait=True)
    assert failed.step == 1 and isinstance(error, ScoringError)
    assert re.search(r"gone.json: could not be scored: .*No such file", str(error))
    assert job.step == 2 and isinstance(metrics, dict)
    assert metrics["bbox/AP"] == metrics["segm/AP"] == 0


def test_delayed_metrics_end_all_ranks_at_the_target_and_a_restart_changes_nothing(
    tiny_scenes: Path, tmp_path: Path
) -> None:
    endless = ("TRAIN.STEPS_PER_EPOCH=2", "TRAIN.LR_EPOCH_SCHEDULE=[(9999, None)]", "TRAIN.EVAL_PERIOD=10")
    targets = ("TRAIN.EVAL_ASYNC=True", "TEST.BOX_TARGET=0", "TEST.MASK_TARGET=0")
    settings = (*endless, "TRAIN.CHECKPOINT_PERIOD=9999", *targets, *tiny.C4)
    done = tiny.train_two_ranks(tiny.QUICK_TRAIN, tmp_path, tiny_scenes, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    last = statistics(tmp_path)[-1]["global_step"]
    assert f"run_end outcome=target_reached step={last} steps=" in done.stdout
    assert newest_checkpoint(tmp_path) == f"model-{last}"
    before = (tmp_path / "stats.json").read_bytes()

    again = tiny.train_two_ranks(tiny.QUICK_TRAIN, tmp_path, tiny_scenes, *settings)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"run_end outcome=target_reached step={last} steps=" in again.stdout
    assert f"{tmp_path} has reached its target; raise TEST.BOX_TARGET or TEST.MASK_TARGET" in again.stdout
    assert (tmp_path / "stats.json").read_bytes() == before


def test_a_run_below_one_of_its_targets_continues() -> None:
    from mrc_train.config import parse
    from mrc_train.targets import reaches_target

    both = parse(["TEST.BOX_TARGET=0.377", "TEST.MASK_TARGET=0.339"]).TEST
    assert reaches_target(both, {"bbox/AP": 0.377, "segm/AP": 0.34})
    assert not reaches_target(both, {"bbox/AP": 0.5, "segm/AP": 0.338})
    assert not reaches_target(both, {"bbox/AP": 0.376, "segm/AP": 0.5})
    assert not reaches_target(parse([]).TEST, {"bbox/AP": 1, "segm/AP": 1})


def test_targets_can_be_those_of_the_metric_at_an_iou_of_a_half() -> None:
    from mrc_train.config import parse
    from mrc_train.targets import reaches_target

    both = parse(["TEST.TARGET_METRIC=AP50", "TEST.BOX_TARGET=0.9", "TEST.MASK_TARGET=0.9"]).TEST
    low = {"bbox/AP": 0.6, "segm/AP": 0.6}
    assert reaches_target(both, {**low, "bbox/AP50": 0.91, "segm/AP50": 0.9})
    assert not reaches_target(both, {**low, "bbox/AP50": 0.91, "segm/AP50": 0.89})
    assert not reaches_target(both, {"bbox/AP": 1, "segm/AP": 1})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["TEST.BOX_TARGET=0.3", "TRAIN.EVAL_PERIOD=0"],
            "need evaluations: set DATA.VAL and TRAIN.EVAL_PERIOD",
        ),
        (["TEST.BOX_TARGET=0.3", "DATA.VAL=[]"], "need evaluations: set DATA.VAL and TRAIN.EVAL_PERIOD"),
        (["TEST.MASK_TARGET=0.3", "MODE_MASK=False"], "MODE_MASK=False: there are no masks to score"),
    ],
)
def test_an_unreachable_target_is_rejected(settings: list[str], message: str) -> None:
    from mrc_train.config import parse
    from mrc_train.errors import ConfigError

    with pytest.raises(ConfigError, match=message):
        parse(settings)
