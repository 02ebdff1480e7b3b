"""mrc-report as a command."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mrc_viz.report import main

STATS = [
    {"loss/total": 3.25, "epoch_num": 1, "global_step": 250},
    {
        "loss/total": 1.5,
        "bbox/AP50": 0.81249,
        "segm/AP50": 0.75,
        "bbox/AP": 0.5,
        "segm/AP": 0.4375,
        "bbox/AP_large": -1,
        "epoch_num": 2,
        "global_step": 500,
    },
    {
        "loss/total": 1.25,
        "bbox/AP50": 0.9,
        "segm/AP50": -1,
        "bbox/AP": 0.625,
        "segm/AP": -1,
        "epoch_num": 3,
        "global_step": 1000,
    },
]
TABLE = """\
step   loss  box AP50  mask AP50  box AP  mask AP
 500  1.500     0.812      0.750   0.500    0.438
1000  1.250     0.900          -   0.625        -
"""


def report(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mrc_viz.report", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_table_has_a_row_per_evaluation_and_the_curves_are_drawn(
    written: Callable[..., Path],
) -> None:
    run = written("run", STATS)
    done = report(run, "--images", "0")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{TABLE}{run}/report/curves.png\n"
    channels = cv2.imread(f"{run}/report/curves.png").astype(int)
    coloured = np.ptp(channels, axis=2) > 100
    assert coloured.sum() > 500, "no curve in the image"


def test_a_box_model_has_no_mask_columns_and_each_split_has_a_row(
    written: Callable[..., Path],
) -> None:
    entry = {"loss/total": 1, "val2017/bbox/AP50": 0.5, "test/bbox/AP50": 0.25, "test/bbox/AP": 0.125}
    run = written("run", [{**entry, "global_step": 5}])
    *table, _ = report(run, "--images", "0").stdout.splitlines()
    assert table == [
        "step    split   loss  box AP50  box AP",
        "   5  val2017  1.000     0.500       -",
        "   5     test  1.000     0.250   0.125",
    ]


def test_a_run_without_evaluations_says_so_and_still_has_curves(written: Callable[..., Path]) -> None:
    run = written("run", STATS[:1])
    done = report(run, "--images", "0")
    assert done.returncode == 0
    assert done.stderr == f"mrc-report: {run}: no evaluation yet\n"
    assert done.stdout == f"{run}/report/curves.png\n"


def test_on_a_terminal_the_table_has_lines(written: Callable[..., Path]) -> None:
    run = written("run", STATS)
    main, terminal = os.openpty()
    code = f"import sys; from mrc_viz.report import main; main([{str(run)!r}, '--images', '0'])"
    done = subprocess.run([sys.executable, "-c", code], stdout=terminal, timeout=60)
    os.close(terminal)
    shown = os.read(main, 100_000).decode()
    assert done.returncode == 0
    assert "────" in shown and "0.812" in shown


def test_images_of_a_trained_run_are_written_to_the_output_directory(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(finished), "--output", str(tmp_path / "out"), "--images", "3"])
    curves, detections = (Path(line) for line in capsys.readouterr().out.splitlines()[-2:])
    assert (curves, detections) == (tmp_path / "out/curves.png", tmp_path / "out/detections.png")
    for path in (curves, detections):
        assert cv2.imread(str(path)).std() > 20, f"{path} is blank"


def test_each_of_several_validation_splits_has_a_sheet(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(settings.replace("- coco_val2017", "- train2017\n  - val2017"))
    main([str(run), "--images", "2"])
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{run}/report/detections-val2017.png",
        f"{run}/report/detections-train2017.png",
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda run: (run / "stats.json").unlink(),
            "{run}/stats.json: not found; is {run} the directory of a run?",
        ),
        (
            lambda run: (run / "report").touch(),
            "{run}/report: file exists",
        ),
        (
            lambda run: (run / "config.yaml").write_text("DATA: {BASEDIR: /gone}"),
            "/gone/annotations/instances_val2017.json: No such file or directory; "
            "DATA.BASEDIR needs <split>/, annotations/instances_<split>.json",
        ),
    ],
)
def test_a_missing_file_is_one_line(
    make: Callable[[Path], object], message: str, written: Callable[..., Path]
) -> None:
    run = written("run", STATS)
    make(run)
    done = report(run)
    assert done.returncode == 1
    assert done.stderr == f"mrc-report: {message.format(run=run)}\n"
