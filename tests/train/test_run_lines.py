"""The lines of a run's log: what the writers write, the parsers read."""

import time

import pytest
from mrc_train.run_lines import (
    Checkpoint,
    Evaluation,
    EvaluationFailed,
    LogSummary,
    Outcome,
    Progress,
    RunEnd,
    RunLine,
    parse_line,
    summarize,
)

LINES: list[tuple[RunLine, str]] = [
    (
        Progress(1200, 3500, 6, 18, 0.8123, 120.3, 80),
        "progress step=1200/3500 epoch=6/18 loss=0.8123 images_per_second=120.3 eta=0:01:20",
    ),
    (
        Progress(1, 3500, 1, 18, 5.0),
        "progress step=1/3500 epoch=1/18 loss=5.0000 images_per_second=unknown eta=unknown",
    ),
    (
        Progress(1, 2, 1, 1, 1e30, 0.0, 400 * 3600),
        f"progress step=1/2 epoch=1/1 loss={1e30:.4f} images_per_second=0.0 eta=400:00:00",
    ),
    (
        Evaluation(1000, "val2017", 5000, {"bbox/AP": 0.3712, "segm/AP50": 0.0}),
        "evaluation step=1000 split=val2017 images=5000 bbox/AP=0.3712 segm/AP50=0.0000",
    ),
    (Evaluation(8, "b\u00e4ume/2024", 3), "evaluation step=8 split=b\u00e4ume/2024 images=3"),
    (
        Evaluation(8, 'two words, "quoted"\n\x1b', 3),
        r'evaluation step=8 split="two words, \"quoted\"\n\u001b" images=3',
    ),
    (
        EvaluationFailed(1000, "val2017", "annotation 7 has no area"),
        'evaluation_failed step=1000 split=val2017 reason="annotation 7 has no area"',
    ),
    (Checkpoint(1000, "model-1000"), "checkpoint step=1000 name=model-1000"),
    (RunEnd(Outcome.FINISHED, 6, 6), "run_end outcome=finished step=6 steps=6"),
    (RunEnd(Outcome.TARGET_REACHED, 6, 9), "run_end outcome=target_reached step=6 steps=9"),
    (
        RunEnd(Outcome.STOPPED, 1, 9, "SIGTERM"),
        "run_end outcome=stopped step=1 steps=9 signal=SIGTERM",
    ),
]

PREFIXES = [
    "",
    "[1,0]<stdout>:",
    "[1128 02:17:36 @callbacks.py:300] ",
    "\x1b[32m[1128 02:17:36 @monitor.py:476]\x1b[0m ",
    "[1,0]<stdout>:\x1b[32m[1128 02:17:36 @a.py:3]\x1b[0m \x1b[5m\x1b[31mWRN\x1b[0m ",
]


@pytest.mark.parametrize(("report", "line"), LINES, ids=[line.partition("=")[0] for _, line in LINES])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_line_is_parsed_as_what_was_written(report: RunLine, line: str, prefix: str) -> None:
    assert report.line() == line
    assert parse_line(prefix + line) == type(report).parse(prefix + line) == report


def test_mpiruns_tags_in_the_middle_of_a_line_are_ignored() -> None:
    assert parse_line(
        "[1,0]<stdout>:checkpoint st[1,0]<stdout>:ep=5 name=model-5[1,0]<stdout>:"
    ) == Checkpoint(5, "model-5")


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("progress step=1/2 epoch=1/1 loss=nan images_per_second=inf eta=nan", Progress(1, 2, 1, 1)),
        ("progress step=1/2 epoch=1/1 loss=1e999 images_per_second=-- eta=1:99:00", Progress(1, 2, 1, 1)),
        ("progress step=1/2 epoch=1/1 future=field", Progress(1, 2, 1, 1)),
        ("evaluation step=1 split=v images=x bbox/AP=nan", Evaluation(1, "v", None)),
    ],
)
def test_numbers_that_make_no_sense_are_unknown(line: str, report: RunLine) -> None:
    assert parse_line(line) == report


@pytest.mark.parametrize(
    "line",
    [
        "",
        "progress",
        "progress made",
        "progress step=1/2",
        "progress step=x/y epoch=1/1",
        "progress step=1/2/3 epoch=1/1",
        f"progress step={'9' * 5000}/2 epoch=1/1",
        "progress step=\u0661/2 epoch=1/1",
        "in progress step=1/2 epoch=1/1",
        "evaluation step=1 bbox/AP=0.5",
        'evaluation step=1 split="unfinished images=3',
        r'evaluation step=1 split="\q" images=3',
        "checkpoint step=1",
        "checkpoint name=model-1",
        "run_end outcome=exploded step=1 steps=2",
        "run_end step=1 steps=2",
    ],
)
def test_other_lines_report_nothing(line: str) -> None:
    assert parse_line(line) is None


@pytest.mark.parametrize(
    ("line", "report"),
    [
        (
            "\x1b[32m[1128 02:17:36 @saver.py:82]\x1b[0m Model saved to /logs/run/model-7500.",
            Checkpoint(7500, "model-7500"),
        ),
        (
            "[1128 02:17:36 @monitor.py:476] mAP(bbox)/IoU=0.5: 0.57123",
            Evaluation(None, "", None, {"mAP(bbox)/IoU=0.5": 0.57123}),
        ),
        (
            "[1,0]<stdout>:[1128 02:17:36 @monitor.py:476] coco_val2017-mAP(segm)/IoU=0.5:0.95: 0.35",
            Evaluation(None, "", None, {"coco_val2017-mAP(segm)/IoU=0.5:0.95": 0.35}),
        ),
    ],
)
def test_tensorpacks_own_lines_are_understood(line: str, report: RunLine) -> None:
    assert parse_line(line) == report


@pytest.mark.parametrize(
    "hostile",
    [
        "progress " + "a=" * 40_000,
        "evaluation step=1 split=" + '"\\' * 40_000,
        "[1,0]<stdout>:" * 6_000 + "progress",
        "\x1b[" + "0;" * 40_000 + "m",
        "mAP(bbox)/" * 8_000 + ": 1",
        "Model saved to " + "/" * 80_000,
        " " * 80_000 + "checkpoint",
    ],
)
def test_an_odd_line_of_80_kilobytes_takes_no_time(hostile: str) -> None:
    for line in (hostile, hostile[:8000]):
        began = time.process_time()
        assert parse_line(line) is None
        assert time.process_time() - began < 0.1


def test_a_summary_has_the_newest_report_of_each_kind() -> None:
    progress = Progress(4, 6, 2, 2, 0.5, 10.0, 1)
    lines = [
        Progress(2, 6, 1, 2, 0.7, 9.0, 4).line(),
        Evaluation(3, "val", 8, {"bbox/AP50": 0.1}).line(),
        Checkpoint(3, "model-3").line(),
        RunEnd(Outcome.STOPPED, 3, 6, "SIGTERM").line(),
        "resuming",
        progress.line(),
        EvaluationFailed(6, "val", "no").line(),
        Checkpoint(6, "model-6").line(),
    ]
    assert summarize(lines) == LogSummary(
        progress, Checkpoint(6, "model-6"), {"bbox/AP50": 0.1}, EvaluationFailed(6, "val", "no")
    )
    end = RunEnd(Outcome.FINISHED, 6, 6)
    assert summarize([*lines, Evaluation(6, "val", 8, {"bbox/AP50": 0.2}).line(), end.line()]) == LogSummary(
        progress, Checkpoint(6, "model-6"), {"bbox/AP50": 0.2}, None, end
    )
    assert summarize([]) == LogSummary()


def test_a_summary_names_the_splits_where_there_are_several() -> None:
    lines = [
        Evaluation(3, "near", 8, {"bbox/AP50": 0.1}).line(),
        Evaluation(3, "far", 8, {"bbox/AP50": 0.2}).line(),
    ]
    assert summarize(lines).metrics == {"near/bbox/AP50": 0.1, "far/bbox/AP50": 0.2}


def test_a_summary_collects_tensorpacks_metrics() -> None:
    lines = [
        "[1128 02:17:36 @m.py:1] mAP(bbox)/IoU=0.5: 0.5",
        "[1128 02:17:36 @m.py:1] mAP(segm)/IoU=0.5: 0.4",
    ]
    assert summarize(lines).metrics == {"mAP(bbox)/IoU=0.5": 0.5, "mAP(segm)/IoU=0.5": 0.4}
