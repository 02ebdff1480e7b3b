"""Exported models: the same detections as Predictor's, in a process that cannot import tensorpack."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny

SETTINGS = ["PREPROC.TEST_SHORT_EDGE_SIZE=320", "PREPROC.MAX_SIZE=480", "TEST.RESULT_SCORE_THRESH=0.01"]

SERVE = """
import sys
for name in ("tensorpack", "horovod", "mpi4py"):
    sys.modules[name] = None  # makes an import of it fail
from pathlib import Path
import numpy as np
from mrc_train.data.decoding import decode
from mrc_train.exported import ExportedModel

model, image, output = map(Path, sys.argv[1:])
found = ExportedModel.load(model)(decode(image.read_bytes(), image.name))
np.savez(output, boxes=found.boxes, scores=found.scores, labels=found.labels, masks=found.masks)
"""


@pytest.fixture(scope="module")
def exported(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model; read-only."""
    target = tmp_path_factory.mktemp("exported") / "new" / "model"
    done = tiny.predict("--load", finished, "--export", target, "--config", *SETTINGS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{target}\n"
    return target


@pytest.fixture
def photo() -> Path:
    directory = os.environ.get("MRC_TEST_PHOTOS")
    if not directory:
        pytest.skip("MRC_TEST_PHOTOS names no directory of photos")
    return sorted(Path(directory, "val2017").iterdir())[0]


def test_an_exported_model_detects_the_same_bit_by_bit_without_tensorpack(
    exported: Path, finished: Path, photo: Path, tmp_path: Path
) -> None:
    from mrc_train.data.images import read_image
    from mrc_train.predictor import Predictor

    command = [sys.executable, "-c", SERVE, exported, photo, tmp_path / "served.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    served, ours = np.load(tmp_path / "served.npz"), Predictor.load(finished, SETTINGS)(read_image(photo))
    assert len(ours) > 5
    for name in ("boxes", "scores", "labels", "masks"):
        np.testing.assert_array_equal(served[name], getattr(ours, name))
        assert served[name].dtype == getattr(ours, name).dtype


def test_an_exported_model_has_the_classes_settings_and_checkpoint_of_the_run(exported: Path) -> None:
    from mrc_train.exported import ExportedModel

    model = ExportedModel.load(exported)
    assert model.categories.names == ("circle", "square", "triangle", "star")
    assert model.categories.coco_ids == (1, 2, 3, 4)
    assert model.cfg.PREPROC.TEST_SHORT_EDGE_SIZE == 320
    assert model.cfg.TEST.RESULT_SCORE_THRESH == 0.01
    assert model.checkpoint == "model-6"


def without(name: str) -> Callable[[Path], None]:
    return lambda model: (model / name).unlink()


def with_description(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def damage(model: Path) -> None:
        content = json.loads((model / "model.json").read_text())
        change(content)
        (model / "model.json").write_text(json.dumps(content))

    return damage


LAYOUT = "expected a directory written by mrc-predict --export, with model.json and saved_model.pb"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, f"{{model}}: {LAYOUT}"),
        (without("model.json"), f"{{model}}: {LAYOUT}"),
        (without("saved_model.pb"), f"{{model}}: {LAYOUT}"),
        (
            lambda model: (model / "model.json").write_text("[]"),
            "{model}/model.json: not a JSON object",
        ),
        (lambda model: (model / "model.json").write_bytes(b"\xff"), "{model}/model.json: not a JSON object"),
        (
            with_description(lambda content: content.update(format_version=2)),
            "{model}/model.json: format version 2, expected 1; export the model again",
        ),
        (
            with_description(lambda content: content.update(categories={"names": ["cup"], "coco_ids": []})),
            "{model}/model.json: expected a mapping with 'names' and 'coco_ids', two lists",
        ),
        (
            with_description(lambda content: content.update(settings={"MODE_MASKS": True})),
            "{model}/model.json: MODE_MASKS",
        ),
        (
            lambda model: (model / "saved_model.pb").write_bytes(b"x"),
            "{model}: the SavedModel in it",
        ),
        (without("variables/variables.index"), "{model}: the SavedModel in it cannot be loaded"),
    ],
)
def test_a_damaged_export_is_one_line_with_path_and_expectation(
    damage: Callable[[Path], object], message: str, exported: Path, tmp_path: Path
) -> None:
    from mrc_train.exported import ExportedModel, ExportedModelError

    model = tmp_path / "model"
    shutil.copytree(exported, model)
    damage(model)
    with pytest.raises(ExportedModelError) as error:
        ExportedModel.load(model)
    assert str(error.value).startswith(message.format(model=model))
    assert "\n" not in str(error.value)


def test_an_export_never_replaces_what_exists(exported: Path, finished: Path) -> None:
    done = tiny.predict("--load", finished, "--export", exported)
    assert done.returncode == 1
    assert done.stderr == f"mrc-predict: error: {exported}: already exists; export to a new path\n"


def test_the_saved_model_can_be_served_without_this_package(exported: Path, tmp_path: Path) -> None:
    script = (
        "import sys, tensorflow as tf\n"
        "run = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "out = run(image=tf.zeros([1, 64, 64, 3], tf.uint8), image_size=tf.constant([[64.0, 64.0]]))\n"
        "print(*sorted(out))"
    )
    done = subprocess.run([sys.executable, "-c", script, exported], capture_output=True, text=True)
    assert done.stdout == "boxes image_index labels masks scores\n", done.stderr
