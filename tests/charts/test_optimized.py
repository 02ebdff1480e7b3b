"""The chart maskrcnn-optimized: the chart maskrcnn with other defaults."""

from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from maskrcnn_chart import expand
from mrc_train.config import Config, parse
from mrc_train.schedule import LearningRate, steps_per_epoch
from rendering import CHARTS, NEWEST, OLDEST, Object, check_object, only, render_objects

CHART = CHARTS / "maskrcnn-optimized"
PLAIN = CHARTS / "maskrcnn"
TUTORIAL = Path(__file__).parent / "values" / "tutorial-optimized.yaml"
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
OWN = {"Chart.yaml", "values.yaml"}


def job(**maskrcnn: Any) -> Object:
    """The training job of these values, with an image."""
    return only(render_objects(CHART, {"maskrcnn": {"image": "trainer:1", **maskrcnn}}), "MPIJob")


def launcher(job: Object) -> Any:
    return job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]


def args(job: Object) -> list[str]:
    """Arguments of the launcher as Kubernetes expands them."""
    env: dict[str, str] = {}
    for entry in launcher(job)["env"]:
        env[entry["name"]] = expand(entry["value"], env)
    return [expand(arg, env) for arg in launcher(job)["args"]]


def config(job: Object) -> Config:
    """What the trainer makes of the launcher's settings."""
    given = args(job)
    return parse(given[given.index("--config") + 1 :])


def test_everything_but_the_values_is_the_chart_maskrcnns_by_link() -> None:
    shared = {path.name for path in CHART.iterdir()} - OWN - {"charts"}
    assert {"templates", "files", "values.schema.json"} <= shared
    for name in shared:
        assert (CHART / name).is_symlink()
        assert (CHART / name).resolve() == (PLAIN / name).resolve()
    for name in OWN:
        assert not (CHART / name).is_symlink()


def test_it_has_the_sub_charts_of_the_chart_maskrcnn() -> None:
    def subcharts(chart: Path) -> set[tuple[str, Path]]:
        return {(path.name, path.resolve()) for path in (chart / "charts").glob("*")}

    def dependencies(chart: Path) -> Any:
        return yaml.safe_load((chart / "Chart.yaml").read_text()).get("dependencies")

    assert subcharts(CHART) == subcharts(PLAIN)
    assert dependencies(CHART) == dependencies(PLAIN)


def test_it_has_every_value_of_the_chart_maskrcnn() -> None:
    def names(values: Any, path: str = "") -> set[str]:
        if not isinstance(values, dict) or not values:
            return {path}
        return set().union(*(names(value, f"{path}.{name}") for name, value in values.items()))

    assert names(DEFAULTS) == names(yaml.safe_load((PLAIN / "values.yaml").read_text()))


def test_the_trainer_reads_the_default_values_as_the_tutorial_means_them() -> None:
    read = config(job())
    assert (read.DATA.TRAIN, read.DATA.VAL) == (("train2017",), ("val2017",))
    assert (read.TRAIN.BATCH_SIZE_PER_GPU, read.TRAIN.IMAGES_PER_EPOCH) == (4, 120000)
    assert read.TRAIN.LR_EPOCH_SCHEDULE == ((16, 0.1), (20, 0.01), (24, None))
    assert read.TRAIN.GRADIENT_CLIP == 0.36
    assert (read.MODE_FPN, read.MODE_MASK, read.BACKBONE.NORM) == (True, True, "FreezeBN")


@pytest.mark.parametrize(("gpus", "steps"), [(8, 3750), (16, 1875), (64, 469)])
def test_an_epoch_goes_once_over_coco_on_any_number_of_gpus(gpus: int, steps: int) -> None:
    # 120000 images in batches of 4 a GPU, the last one filled up; the training is 24 of them.
    train = config(job(gpus=gpus)).TRAIN
    assert steps_per_epoch(train, total_batch=4 * gpus) == steps
    schedule = LearningRate.from_config(train, total_batch=4 * gpus)
    assert schedule.total_steps == 24 * steps
    assert [step for step, _ in schedule.milestones] == [16 * steps, 20 * steps]


def test_the_tutorials_learning_rate_of_one_image_is_eight_times_that_for_the_trainer() -> None:
    # The tutorial's optimized chart gives 0.0015625 for one image, which is 0.1 for its 64.
    peak = LearningRate.from_config(config(job(base_lr=0.0125)).TRAIN, total_batch=64).peak
    assert peak == pytest.approx(64 * 0.0015625)


@pytest.mark.parametrize(
    ("values", "on"),
    [({}, True), ({"fp16": False}, False), ({"tp_16": 0}, False), ({"tp_16": 0, "fp16": True}, True)],
    ids=str,
)
def test_half_precision_is_on_unless_new_or_old_name_say_otherwise(values: dict[str, Any], on: bool) -> None:
    assert ("--fp16" in args(job(**values))) == on


def test_xla_is_on_for_every_rank() -> None:
    assert {"name": "TF_XLA_FLAGS", "value": "--tf_xla_auto_jit=2"} in launcher(job())["env"]
    assert "TF_XLA_FLAGS" in args(job())


def test_the_tutorials_values_reach_awss_training_script() -> None:
    values = yaml.safe_load(TUTORIAL.read_text())
    given = args(only(render_objects(CHART, values, "maskrcnn"), "MPIJob"))
    script = given.index("/mask-rcnn-tensorflow/MaskRCNN/train.py")
    assert given[script - 1] == "python3"
    flags, settings = given[script : given.index("--config")], given[given.index("--config") + 1 :]
    assert "--fp16" in flags
    assert flags[flags.index("--images_per_epoch") + 1] == "120000"
    assert "TRAIN.BASE_LR=0.0015625" in settings
    assert "TRAIN.BATCH_SIZE_PER_GPU=4" in settings
    assert not [setting for setting in settings if setting.startswith(("TRAIN.STEPS_PER", "TRAIN.LR_SCH"))]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_valid(version: str) -> None:
    tutorial = yaml.safe_load(TUTORIAL.read_text())
    for values in (tutorial, {"maskrcnn": {"image": "trainer:1", "node_group": "p4d"}}):
        for item in render_objects(CHART, values, "maskrcnn"):
            check_object(item, version)


def test_a_package_holds_the_linked_files_themselves(tmp_path: Path) -> None:
    helm_python.expand(tmp_path, helm_python.package(CHART, destination=tmp_path))
    unpacked = tmp_path / CHART.name
    for path in (path for path in PLAIN.rglob("*") if path.is_file()):
        name = path.relative_to(PLAIN)
        if name.parts[0] in ("templates", "files"):
            assert not (unpacked / name).is_symlink()
            assert (unpacked / name).read_bytes() == path.read_bytes()
