"""``train`` on one host: the trainer's settings, its model, its exit code and the reason for a failure."""

import json
import re
import resource
import signal
from pathlib import Path

import pytest
import training_containers as containers
import yaml
from mrc_train.sagemaker import failure
from mrc_train.sagemaker.hyperparameters import arguments
from mrc_train.sagemaker.metric_definitions import metric_definitions


def test_a_finished_job_leaves_what_mrc_serve_reads(trained: tuple[Path, str]) -> None:
    root, _ = trained
    assert sorted(path.name for path in (root / "model").iterdir()) == [
        "model.json",
        "saved_model.pb",
        "variables",
    ]
    assert json.loads((root / "model" / "model.json").read_text())["checkpoint"] == "model-6"
    assert [path.name for path in (root / "output").iterdir()] == ["data"]


def test_hyperparameters_are_the_trainers_settings_under_either_name(trained: tuple[Path, str]) -> None:
    settings = json.loads((trained[0] / "model" / "model.json").read_text())["settings"]
    assert settings["TRAIN"]["EVAL_PERIOD"] == 2
    assert settings["TRAIN"]["STEPS_PER_EPOCH"] == 3
    assert settings["BACKBONE"]["CHANNELS"] == [16, 16, 16, 32]


def test_the_metric_definitions_match_the_log(trained: tuple[Path, str]) -> None:
    stats = json.loads((trained[0] / "output" / "data" / "run" / "stats.json").read_text())[-1]
    values: dict[str, str] = {}
    for definition in metric_definitions():
        matches = re.findall(definition["Regex"], trained[1])
        assert matches, definition
        values[definition["Name"]] = matches[-1]
    assert values["train:step"] == "6"
    assert float(values["validation:bbox/AP"]) == pytest.approx(stats["bbox/AP"], abs=1e-4)
    assert float(values["validation:segm/AP50"]) == pytest.approx(stats["segm/AP50"], abs=1e-4)


def test_a_spot_job_resumes_from_its_checkpoint(tmp_path: Path, tiny_scenes: Path) -> None:
    """sagemaker-python-sdk 1040: it started from the beginning."""
    root = containers.lay_out(
        tmp_path, tiny_scenes, {**containers.HYPERPARAMETERS, "TRAIN.LR_EPOCH_SCHEDULE": "[(2000, None)]"}
    )
    (root / "checkpoints").mkdir()
    job = containers.start(root)
    assert job.stdout
    lines = []
    for line in job.stdout:
        lines.append(line)
        if "checkpoint step=" in line:
            job.send_signal(signal.SIGTERM)
            break
    lines += job.stdout.readlines()
    assert job.wait(timeout=60) == 0, "".join(lines)
    stopped_at = [line for line in lines if "run_end outcome=stopped" in line]
    assert stopped_at, "".join(lines)
    step = int(stopped_at[0].partition("step=")[2].partition(" ")[0])
    assert json.loads((root / "model" / "model.json").read_text())["checkpoint"] == f"model-{step}"

    job = containers.start(root)
    assert job.stdout
    resumed = ""
    for line in job.stdout:
        resumed += line
        if "resuming from" in line:
            job.send_signal(signal.SIGTERM)
            break
    resumed += job.stdout.read()
    assert job.wait(timeout=60) == 0, resumed
    assert f"resuming from {root}/checkpoints/model-{step}" in resumed


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"TRAIN.BASE_LRR": "1"},
            "train: error: hyperparameter TRAIN.BASE_LRR: unknown; did you mean TRAIN.BASE_LR?",
        ),
        ({"mode_msk": "True"}, "train: error: hyperparameter mode_msk: unknown; did you mean mode_mask?"),
        (
            {"batch_norm": "FreezeBN"},
            "train: error: hyperparameters BACKBONE.NORM and batch_norm both set BACKBONE.NORM; remove one",
        ),
        (
            {"ranks_per_host": "two"},
            "train: error: hyperparameter ranks_per_host: 'two' is not a number of ranks",
        ),
    ],
)
def test_wrong_hyperparameters_fail_with_one_line(
    change: dict[str, str], expected: str, tmp_path: Path, tiny_scenes: Path
) -> None:
    root = containers.lay_out(tmp_path, tiny_scenes, {**containers.HYPERPARAMETERS, **change})
    done = containers.train(root)
    assert done.returncode == 1
    assert (root / "output" / "failure").read_text() == expected
    assert done.stdout.strip() == expected


def test_the_failure_file_has_the_trainers_own_line(tmp_path: Path, tiny_scenes: Path) -> None:
    """The SageMaker toolkit reports only the exit code and the command (sagemaker-python-sdk 1225)."""
    root = containers.lay_out(
        tmp_path, tiny_scenes, {**containers.HYPERPARAMETERS, "BACKBONE.WEIGHTS": "pretrained/R50.npz"}
    )
    done = containers.train(root)
    assert done.returncode == 1
    reason = (root / "output" / "failure").read_text()
    assert reason.startswith("mrc-train: error: pretrained/R50.npz: no such weights")
    assert not list((root / "model").iterdir())


def test_the_reason_is_the_cause_and_not_what_other_ranks_say_of_it() -> None:
    """Output of mpirun when the kernel kills a rank, shortened."""
    killed = "mpirun noticed that process rank 1 with PID 232 on node algo-2 exited on signal 9 (Killed)."
    others = [
        "[1,0]<stderr>:Traceback (most recent call last):",
        "[1,0]<stderr>:horovod.common.exceptions.HorovodInternalError: ncclCommAbort",
        "-" * 74,
    ]
    assert failure.reason([*others, killed, "-" * 74]) == killed
    own = "[1,0]<stderr>:mrc-train: error: model-3 cannot be saved"
    assert failure.reason([own, killed]) == "mrc-train: error: model-3 cannot be saved"


def test_a_full_disk_fails_the_job_with_the_reason(
    trained: tuple[Path, str], tmp_path: Path, tiny_scenes: Path
) -> None:
    """sagemaker-training-toolkit 204: the job was Completed."""
    root = containers.lay_out(tmp_path, tiny_scenes, containers.HYPERPARAMETERS)
    (checkpoint,) = (trained[0] / "output" / "data" / "run").glob("model-6.data-*")
    # With a limit on file sizes, writes fail as on a full disk.
    largest = checkpoint.stat().st_size - 1
    done = containers.train(root, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)))
    assert done.returncode == 1
    reason = (root / "output" / "failure").read_text()
    assert reason.startswith(f"mrc-train: error: {root}/output/data/run/model-3 cannot be saved: "), (
        done.stdout
    )
    assert not list((root / "model").iterdir())


def test_a_channel_without_a_data_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    root = containers.lay_out(tmp_path / "ml", tmp_path / "empty", containers.HYPERPARAMETERS)
    assert containers.train(root).returncode == 1
    reason = (root / "output" / "failure").read_text()
    assert reason.startswith("train: error: channel train has no data set in COCO layout: ")
    assert f"{root}/input/data/train/annotations not found" in reason


def test_train_without_any_configuration_says_what_is_missing(tmp_path: Path) -> None:
    """``docker run IMAGE train`` needs no toolkit (sagemaker-training-toolkit 65)."""
    assert containers.train(tmp_path).returncode == 1
    expected = "train: error: no input channel train; this job's channels: none"
    assert (tmp_path / "output" / "failure").read_text() == expected


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("mode_mask", '"False"', "MODE_MASK", "False"),
        ("data_train", '["train2017"]', "DATA.TRAIN", '["train2017"]'),
        ("lr_schedule", "[240000, 320000, 360000]", "TRAIN.LR_SCHEDULE", "[240000, 320000, 360000]"),
        ("images_per_epoch", "120000", "TRAIN.IMAGES_PER_EPOCH", "120000"),
    ],
)
def test_names_and_quotes_of_awss_sample_are_understood(name: str, text: str, key: str, value: str) -> None:
    parsed = arguments({name: text, "sagemaker_region": '"us-east-1"', "nccl_min_rings": "8"})
    assert parsed.get(key) == value
    assert parsed.environment == {"NCCL_MIN_NRINGS": "8"}


def test_the_chart_has_the_metric_definitions_of_the_trainer() -> None:
    file = Path(__file__).parents[2] / "charts" / "sagemaker" / "files" / "metric-definitions.yaml"
    definitions = [
        {"name": definition["Name"], "regex": definition["Regex"]} for definition in metric_definitions()
    ]
    assert yaml.safe_load(file.read_text()) == definitions


def test_the_chart_has_the_defaults_of_the_chart_maskrcnn() -> None:
    charts = Path(__file__).parents[2] / "charts"
    ours, theirs = (
        yaml.safe_load((charts / name / "values.yaml").read_text()) for name in ("sagemaker", "maskrcnn")
    )
    assert ours["maskrcnn"] == theirs["maskrcnn"]
