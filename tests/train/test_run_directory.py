"""What programs without TensorFlow read from a run's directory."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mrc_train.run_directory import (
    EpochStatistics,
    LastEvaluation,
    RunProgress,
    checkpoint_steps,
    headline,
    last_evaluation,
    newest_checkpoint,
    read_progress,
    read_statistics,
)
from mrc_train.run_lines import Progress

PROGRESS = {
    "step": 1200,
    "steps": 3500,
    "epoch": 6,
    "epochs": 18,
    "loss": 0.8123,
    "images_per_second": 120.3,
    "eta_seconds": 80,
    "time": "2026-11-28T02:00:00+00:00",
    "heartbeat": "2026-11-28T02:00:30+00:00",
}


def test_progress_is_read_with_its_times(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text(json.dumps(PROGRESS))
    assert read_progress(tmp_path) == RunProgress(
        Progress(1200, 3500, 6, 18, 0.8123, 120.3, 80),
        datetime(2026, 11, 28, 2, 0, 0, tzinfo=UTC),
        datetime(2026, 11, 28, 2, 0, 30, tzinfo=UTC),
    )


def test_statistics_have_steps_and_finite_scalars(tmp_path: Path) -> None:
    entries = [
        {"epoch_num": 1, "global_step": 3, "loss/total": 1.5, "bbox/AP50": 0.9, "x": float("nan"), "y": "z"},
        {"epoch_num": 2, "global_step": 6, "loss/total": 1},
    ]
    (tmp_path / "stats.json").write_text(json.dumps(entries))
    assert read_statistics(tmp_path) == [
        EpochStatistics(3, 1, {"loss/total": 1.5, "bbox/AP50": 0.9}),
        EpochStatistics(6, 2, {"loss/total": 1.0}),
    ]
    assert last_evaluation(tmp_path) == LastEvaluation(3, {"bbox/AP50": 0.9})


def test_tensorpacks_metrics_are_an_evaluation(tmp_path: Path) -> None:
    metrics = {"mAP(bbox)/IoU=0.5": 0.5, "coco_val2017-mAP(segm)/IoU=0.5:0.95": 0.3}
    (tmp_path / "stats.json").write_text(json.dumps([{"global_step": 6, "fastrcnn/loss": 1, **metrics}]))
    assert last_evaluation(tmp_path) == LastEvaluation(6, metrics)


@pytest.mark.parametrize(
    ("metrics", "quoted"),
    [
        ({"bbox/AP": 0.4, "bbox/AP50": 0.6, "segm/AP50": 0.5}, {"box AP50": 0.6, "mask AP50": 0.5}),
        ({"a/bbox/AP50": 0.6, "b/c/bbox/AP50": 0.5}, {"a/box AP50": 0.6, "b/c/box AP50": 0.5}),
        (
            {"mAP(bbox)/IoU=0.5": 0.6, "mAP(segm)/IoU=0.5": 0.5, "mAP(bbox)/IoU=0.5:0.95": 0.4},
            {"box AP50": 0.6, "mask AP50": 0.5},
        ),
        ({"coco_val2017-mAP(bbox)/IoU=0.5": 0.6}, {"coco_val2017/box AP50": 0.6}),
        ({"bbox/AP50": -1.0, "loss/total": 3.0, "xbbox/AP50": 0.1}, {}),
    ],
)
def test_the_headline_is_box_and_mask_ap_at_iou_one_half(
    metrics: dict[str, float], quoted: dict[str, float]
) -> None:
    assert headline(metrics) == quoted


@pytest.mark.parametrize(
    ("files", "steps"),
    [
        (
            [
                "model-3.index",
                "model-3.data-00000-of-00001",
                "model-20.index",
                "model-20.data-00000-of-00001",
            ],
            [3, 20],
        ),
        (["model-3.index", "model-3.data-00000-of-00002", "model-3.data-00001-of-00002"], [3]),
        (["model-3.index", "model-3.data-00000-of-00002"], []),
        (["model-3.index"], []),
        (["model-3.data-00000-of-00001"], []),
        (["model-3.index", "model-30.data-00000-of-00001"], []),
        (["model-best.index", "model-best.data-00000-of-00001", "model-.index", "model-3.index.bak"], []),
        (["model-03.index", "model-03.data-00000-of-00001", "xmodel-3.index"], []),
    ],
)
def test_only_complete_checkpoints_count(files: list[str], steps: list[int], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert checkpoint_steps(tmp_path) == steps
    assert newest_checkpoint(tmp_path) == (f"model-{steps[-1]}" if steps else None)


ODD = [
    b"",
    b"\x00\xff\xfe",
    b"{",
    b"null",
    b"7",
    b'"text"',
    b"[]",
    b"{}",
    b"[1, null, [], {}]",
    b"[" * 100_000,
    b'{"step": 1e999, "steps": 2, "epoch": 1, "epochs": 1}',
    b'{"step": true, "steps": 2, "epoch": 1, "epochs": 1}',
    b'{"step": -1, "steps": 2, "epoch": 1, "epochs": 1}',
    b'{"step": "1", "steps": [], "epoch": {}, "epochs": null}',
    b'{"step": ' + b"9" * 5000 + b', "steps": 2}',
    b'[{"global_step": 1e999, "bbox/AP50": 1}, {"bbox/AP50": 1}, {"global_step": null}]',
]


@pytest.mark.parametrize("content", ODD, ids=range(len(ODD)))
def test_odd_files_read_as_nothing(content: bytes, tmp_path: Path) -> None:
    for name in ("progress.json", "stats.json"):
        (tmp_path / name).write_bytes(content)
    assert read_progress(tmp_path) is None
    assert read_statistics(tmp_path) == []
    assert last_evaluation(tmp_path) is None


def test_odd_fields_of_a_progress_report_are_unknown(tmp_path: Path) -> None:
    odd = {
        "step": 1,
        "steps": 2,
        "epoch": "x",
        "loss": float("nan"),
        "images_per_second": "fast",
        "eta_seconds": -5,
        "time": 7,
        "heartbeat": "2026-11-28T02:00:00",
    }
    (tmp_path / "progress.json").write_text(json.dumps(odd))
    assert read_progress(tmp_path) == RunProgress(Progress(1, 2, 0, 0))


def test_directories_in_place_of_files_and_a_missing_run_read_as_nothing(tmp_path: Path) -> None:
    for name in ("progress.json", "stats.json"):
        (tmp_path / name).mkdir()
    for directory in (tmp_path, tmp_path / "missing"):
        assert read_progress(directory) is None
        assert read_statistics(directory) == []
        assert newest_checkpoint(directory) is None


def test_reading_a_run_imports_no_tensorflow() -> None:
    script = (
        "import sys, mrc_train.run_directory, mrc_train.run_lines\n"
        "print([name for name in ('tensorflow', 'numpy', 'tensorpack', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
