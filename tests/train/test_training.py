"""Complete training runs: two ranks, fine-tuning, invalid settings, defective data."""

import json
import shutil
from pathlib import Path

import coco_files
import numpy as np
import pytest
import tiny
from mrc_train.config import Config

EVERYTHING_SAMPLED = (
    "RPN.BATCH_PER_IM=6000",
    "RPN.FG_RATIO=1",
    "FRCNN.BATCH_PER_IM=200",
    "FRCNN.FG_RATIO=1",
    "PREPROC.AUGMENT=none",
)
"""Sampling without randomness, so that one process and two ranks have the same samples."""


DUMPING = ("python", Path(__file__).with_name("dump_ranks.py"))
"""``mrc-train`` that also writes each rank's variables next to the checkpoints."""


def variables(checkpoint: Path) -> dict[str, np.ndarray]:
    from mrc_train.tfgraph import v1

    reader = v1.train.NewCheckpointReader(str(checkpoint))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def annotations(data: Path, split: str = "val2017") -> Path:
    return data / "annotations" / f"instances_{split}.json"


def from_weights(run: Path) -> tuple[str, ...]:
    """Settings for two steps from the weights of a finished run, the same for all ranks and processes."""
    return (
        f"BACKBONE.WEIGHTS={run / 'model-6'}",
        "TRAIN.STEPS_PER_EPOCH=2",
        "TRAIN.LR_EPOCH_SCHEDULE=[(1, None)]",
        "TRAIN.BASE_LR=0.02",
    )


@pytest.fixture(scope="module")
def two_ranks(
    tmp_path_factory: pytest.TempPathFactory, tiny_scenes: Path, finished: Path
) -> tuple[Path, str]:
    """Directory and output of two steps by two ranks with one image each."""
    logdir = tmp_path_factory.mktemp("two-ranks")
    done = tiny.train_two_ranks(DUMPING, logdir, tiny_scenes, *from_weights(finished), *EVERYTHING_SAMPLED)
    assert done.returncode == 0, done.stdout + done.stderr
    return logdir, done.stdout


def test_two_ranks_use_different_images_of_one_order(two_ranks: tuple[Path, str]) -> None:
    _, output = two_ranks
    assert "rank 0 of 2" in output and "images 0 to 0 of every 2 in the order of seed 0" in output
    assert "rank 1 of 2" in output and "images 1 to 1 of every 2 in the order of seed 0" in output


def test_the_parameters_of_both_ranks_are_equal_bit_by_bit(two_ranks: tuple[Path, str]) -> None:
    first, second = (np.load(two_ranks[0] / f"rank-{rank}.npz") for rank in (0, 1))
    assert len(first.files) > 30
    for name in first.files:
        assert first[name].tobytes() == second[name].tobytes(), name


def test_gradients_sent_one_by_one_are_those_sent_together(
    two_ranks: tuple[Path, str], tiny_scenes: Path, finished: Path, tmp_path: Path
) -> None:
    command = tiny.two_ranks(DUMPING, tmp_path, tiny_scenes, *from_weights(finished), *EVERYTHING_SAMPLED)
    done = tiny.run(*command, **tiny.MPI, HOROVOD_FUSION_THRESHOLD="0")
    assert done.returncode == 0, done.stdout + done.stderr
    fused, single = (np.load(directory / "rank-0.npz") for directory in (two_ranks[0], tmp_path))
    for name in fused.files:
        np.testing.assert_allclose(single[name], fused[name], atol=1e-6, rtol=0, err_msg=name)


def test_of_two_ranks_one_writes_events(two_ranks: tuple[Path, str]) -> None:
    assert len(list(two_ranks[0].rglob("events.*"))) == 1


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize(
    "settings",
    [["TRAIN.BATCH_SIZE_PER_GPU=2"], ["TRAIN.GRADIENT_ACCUMULATION=2"]],
    ids=["a batch of two", "two batches of one"],
)
def test_two_ranks_with_one_image_each_learn_what_one_process_learns_from_both(
    settings: list[str], two_ranks: tuple[Path, str], tiny_scenes: Path, finished: Path, tmp_path: Path
) -> None:
    done = tiny.train(tmp_path, tiny_scenes, *settings, *from_weights(finished), *EVERYTHING_SAMPLED)
    assert done.returncode == 0, done.stdout + done.stderr
    joint, shared = variables(tmp_path / "model-2"), np.load(two_ranks[0] / "rank-0.npz")
    # A momentum is the sum of the steps' gradients, the older ones times 0.9.
    momenta = [name for name in shared.files if name.endswith("/Momentum")]
    assert 2 * len(momenta) == len(shared.files) and len(momenta) > 30
    for name in shared.files:
        tolerance = 1e-5 if name in momenta else 2e-6
        np.testing.assert_allclose(shared[name], joint[name], atol=tolerance, rtol=0, err_msg=name)
    largest = max(float(np.abs(joint[name]).max()) for name in momenta)
    assert largest > 1e-2, "nothing was learned: the comparison is meaningless"


def test_two_ranks_detect_what_one_process_detects(
    two_ranks: tuple[Path, str], tiny_scenes: Path, tmp_path: Path
) -> None:
    logdir, _ = two_ranks
    done = tiny.predict("--load", logdir / "model-2", "--evaluate", tmp_path / "alone.json")
    assert done.returncode == 0, done.stderr
    images = {image["id"] for image in json.loads(annotations(tiny_scenes).read_text())["images"]}
    together, alone = (
        sorted(
            json.loads(file.read_text()), key=lambda detection: (detection["image_id"], -detection["score"])
        )
        for file in (logdir / "result" / "val2017-2.json", tmp_path / "alone.json")
    )
    assert len(together) > 20 and {detection["image_id"] for detection in together} == images
    for one, other in zip(together, alone, strict=True):
        assert (one["image_id"], one["category_id"]) == (other["image_id"], other["category_id"])
        assert one["score"] == pytest.approx(other["score"], abs=2e-6)  # both are rounded to six decimals
        assert one["bbox"] == pytest.approx(other["bbox"], abs=1e-3)


def test_weights_for_other_classes_are_fine_tuned_with_new_last_layers(
    finished: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    data, logdir, weights = tmp_path / "data", tmp_path / "run", tmp_path / "four-classes.npz"
    done = tiny.predict("--load", finished, "--export", weights)
    assert done.returncode == 0, done.stderr
    shutil.copytree(tiny_scenes, data)
    for split in ("train2017", "val2017"):
        content = json.loads(annotations(data, split).read_text())
        content["categories"] = [{"id": 5, "name": "mine"}]
        for annotation in content["annotations"]:
            annotation["category_id"] = 5
        annotations(data, split).write_text(json.dumps(content))
    steps = ("TRAIN.STEPS_PER_EPOCH=1", "TRAIN.LR_EPOCH_SCHEDULE=[(1, None)]", "TRAIN.BASE_LR=1e-12")
    done = tiny.train(logdir, data, f"BACKBONE.WEIGHTS={weights}", *steps)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        f"{weights}: re-initialized because of another shape (other classes?): "
        "fastrcnn/outputs/class 32x5 there, 32x2 here; "
        "fastrcnn/outputs/box 32x20 there, 32x8 here; maskrcnn/conv 1x1x16x4 there, 1x1x16x1 here"
    ) in done.stdout
    before, after = np.load(weights), variables(logdir / "model-1")
    reinitialized = {name for name in before.files if after[name].shape != before[name].shape}
    assert {name.rpartition("/")[0] for name in reinitialized} == {
        "fastrcnn/outputs/class",
        "fastrcnn/outputs/box",
        "maskrcnn/conv",
    }
    for name in set(before.files) - reinitialized:  # at this rate a step changes nothing
        np.testing.assert_allclose(after[name], before[name], atol=1e-9, rtol=0, err_msg=name)
    detections = json.loads((logdir / "result" / "val2017-1.json").read_text())
    assert {detection["category_id"] for detection in detections} == {5}


def test_a_run_leaves_its_progress_statistics_and_settings(finished: Path) -> None:
    progress = json.loads((finished / "progress.json").read_text())
    assert (progress["step"], progress["steps"], progress["epoch"], progress["epochs"]) == (6, 6, 2, 2)
    assert progress["eta_seconds"] == 0
    stats = json.loads((finished / "stats.json").read_text())
    assert [(entry["epoch_num"], entry["global_step"]) for entry in stats] == [(1, 3), (2, 6)]
    assert stats[-1].keys() >= {
        "loss/total",
        "loss/mask",
        "learning_rate",
        "images_per_second",
        "bbox/AP50",
        "segm/AP",
    }
    assert Config.from_yaml((finished / "config.yaml").read_text()).FPN.NUM_CHANNEL == 16
    assert json.loads((finished / "result" / "val2017-6.json").read_text()) is not None


def test_starting_a_finished_run_reports_it_and_changes_nothing(finished: Path, tiny_scenes: Path) -> None:
    before = (finished / "stats.json").read_bytes()
    done = tiny.train(finished, tiny_scenes, "TRAIN.STEPS_PER_EPOCH=3", "TRAIN.LR_EPOCH_SCHEDULE=[(2, None)]")
    assert done.returncode == 0
    assert "has all 6 steps" in done.stdout
    assert (finished / "stats.json").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["TRAIN.BASELR=1"], "TRAIN.BASELR: no such setting. Did you mean TRAIN.BASE_LR?"),
        (["TRAIN.BASE_LR=fast"], "TRAIN.BASE_LR='fast': input should be a valid number"),
        (
            ["DATA.BASEDIR=/nowhere"],
            "/nowhere/annotations/instances_train2017.json: No such file or directory",
        ),
        (["BACKBONE.WEIGHTS=/nowhere/R50.npz"], "/nowhere/R50.npz: no such weights"),
        (["MODE_FPN=False", "FPN.CASCADE=True"], "FPN.CASCADE=True needs MODE_FPN=True"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line_before_the_first_step(
    settings: list[str], message: str, tiny_scenes: Path, tmp_path: Path
) -> None:
    done = tiny.train(tmp_path, tiny_scenes, *settings)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"mrc-train: error: {message}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_predict_draws_its_detections(finished: Path, tiny_scenes: Path, tmp_path: Path) -> None:
    import cv2

    image = next((tiny_scenes / "val2017").iterdir())
    threshold = "TEST.RESULT_SCORE_THRESH_VIS=0"
    done = tiny.predict("--load", finished, "--predict", image, "--output", tmp_path, "--config", threshold)
    assert done.returncode == 0, done.stderr
    drawn = tmp_path / f"{image.stem}-detections.png"
    assert done.stdout.startswith(f"{drawn}: ")
    assert cv2.imread(str(drawn)) is not None


def test_evaluate_gives_the_metrics_that_training_reported(finished: Path, tmp_path: Path) -> None:
    done = tiny.predict("--load", finished, "--evaluate", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    reported = json.loads((finished / "stats.json").read_text())[-1]
    printed = {line.split()[1]: float(line.split()[2]) for line in done.stdout.splitlines()}
    assert printed["bbox/AP50"] == pytest.approx(reported["bbox/AP50"], abs=1e-4)
    assert printed["segm/AP"] == pytest.approx(reported["segm/AP"], abs=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda directory: None,
            "{directory}: no such checkpoint; name the run's directory or model-<step> in it",
        ),
        (
            lambda directory: directory.mkdir(),
            "{directory}: no complete checkpoint found; has the run saved one yet?",
        ),
    ],
)
def test_predict_reports_in_one_line_what_it_cannot_load(make, message: str, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    make(directory)
    done = tiny.predict("--load", directory, "--evaluate", tmp_path / "out.json")
    assert done.returncode == 1
    assert done.stderr == f"mrc-predict: error: {message.format(directory=directory)}\n"


def test_a_graph_compiled_by_xla_has_the_losses_of_one_that_is_not(
    finished: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    compiled, dump = tmp_path / "compiled", tmp_path / "xla"
    settings = (*from_weights(finished), "TRAIN.EVAL_PERIOD=0")
    # The chart's flag, and CPUs too.
    flags = "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"
    quickly = f"--xla_dump_to={dump} --xla_backend_optimization_level=0"
    done = tiny.train(compiled, tiny_scenes, *settings, TF_XLA_FLAGS=flags, XLA_FLAGS=quickly)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(dump.iterdir()), "nothing was compiled"
    assert tiny.train(tmp_path / "plain", tiny_scenes, *settings).returncode == 0
    ours, plain = (
        json.loads((logdir / "stats.json").read_text())[-1] for logdir in (compiled, tmp_path / "plain")
    )
    losses = {name: value for name, value in plain.items() if name.startswith("loss/")}
    assert len(losses) >= 6
    assert {name: ours[name] for name in losses} == pytest.approx(losses, rel=1e-4)


CATEGORIES = [{"id": 0, "name": "disc"}, {"id": 7, "name": "plate"}, {"id": 90, "name": "unused"}]


@pytest.fixture
def defective_data(tmp_path: Path) -> Path:
    """A data set with every defect that a run tolerates."""
    images = [coco_files.image(number) for number in range(6)] + [coco_files.image(6, height=1, width=60)]
    objects = [
        *(coco_files.annotation(number, [5, 5, 30, 20], category_id=7 * (number % 2)) for number in range(4)),
        coco_files.annotation(0, [10, 10, 0, 5]),  # no area
        coco_files.annotation(1, [0, 0, 50, 30], category_id=0, iscrowd=1),
        coco_files.annotation(6, [5, 0, 20, 1], category_id=7),
        coco_files.annotation(4, [2, 2, 20, 20], category_id=0),
    ]
    objects[4]["category_id"] = 0
    data = tmp_path / "data"
    for split in ("train2017", "val2017"):
        coco_files.write_split(data, images, objects, name=split, categories=CATEGORIES)
        (data / split / "3.png").write_bytes(b"\x89PNG cut off")
    return data


def test_a_run_tolerates_defective_data_and_counts_what_it_leaves_out(
    defective_data: Path, tmp_path: Path
) -> None:
    settings = (
        "TRAIN.STEPS_PER_EPOCH=8",
        "TRAIN.LR_EPOCH_SCHEDULE=[(1, None)]",
        "TRAIN.BATCH_SIZE_PER_GPU=2",
    )
    done = tiny.train(tmp_path / "run", defective_data, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "train2017: 6 images, 6 objects and 1 crowds of 3 classes",
        "train2017: left out 1 objects whose box has no area inside the image",
        "train2017: left out 1 training images without objects",
        "train2017: no object of unused: nothing can be learned about it",
        "3.png: not an image that OpenCV can decode; another image takes its place (1 so far)",
        "3.png: not an image that OpenCV can decode; its objects count as not found",
    ):
        assert line in done.stdout, f"{line!r} is not in\n{done.stdout}"
    assert "not an image" in (tmp_path / "run" / "log.log").read_text()
    results = json.loads((tmp_path / "run" / "result" / "val2017-8.json").read_text())
    assert {result["category_id"] for result in results} <= {0, 7, 90}


def test_a_missing_image_file_is_one_error_before_the_first_step(
    defective_data: Path, tmp_path: Path
) -> None:
    (defective_data / "train2017" / "5.png").unlink()
    done = tiny.train(tmp_path / "run", defective_data)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "1 of 7 images" in done.stderr and "such as 5.png" in done.stderr


@pytest.mark.parametrize("name", ["weights.npz", "model-6.index"])
def test_weights_that_are_something_else_are_one_line(name: str, tiny_scenes: Path, tmp_path: Path) -> None:
    weights = tmp_path / name
    weights.write_bytes(b"not weights")
    done = tiny.train(tmp_path / "run", tiny_scenes, f"BACKBONE.WEIGHTS={weights}")
    assert done.returncode == 1
    last = f"mrc-train: error: {weights}: neither an intact .npz file nor the prefix of a complete checkpoint"
    assert done.stderr.strip().splitlines()[-1] == last
    assert "Traceback" not in done.stderr
