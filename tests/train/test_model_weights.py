"""Weights from files: of tensorpack's model zoo, of a model for other classes, and back."""

import io
import logging
from pathlib import Path

import numpy as np
import pytest
import tiny
from mrc_train.checkpoints import load_weights
from mrc_train.data.images import inference_image
from mrc_train.errors import RunDirectoryError
from mrc_train.train import weights_file
from mrc_train.weights import StartFrom, compared

TABLE = Path(__file__).with_name("names") / "R50-FPN.txt"


def shapes_of_r50_fpn(categories: int = 80) -> dict[str, list[int]]:
    """Shapes in tensorpack's example; those of the last layers follow from the number of categories."""
    rows = (line.split() for line in TABLE.read_text().splitlines() if not line.startswith("#"))
    shapes = {name: [int(side) for side in shape.split("x")] for name, shape, *_ in rows}
    for layer, size in (
        ("fastrcnn/outputs/class", categories + 1),
        ("fastrcnn/outputs/box", 4 * (categories + 1)),
        ("maskrcnn/conv", categories),
    ):
        shapes[f"{layer}/W"][-1] = size
        shapes[f"{layer}/b"] = [size]
    return shapes


def empty(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def test_imagenet_weights_initialize_the_backbone_only() -> None:
    shapes = shapes_of_r50_fpn()
    backbone = {name: shape for name, shape in shapes.items() if name.startswith(("conv0", "group"))}
    fits, lines = compared(
        "R50.npz", empty(backbone | {"linear/W": [2048, 1000], "linear/b": [1000]}), shapes
    )
    assert fits == list(backbone)
    assert lines == [
        "R50.npz: 265 of the model's 307 variables are initialized from it",
        "R50.npz: re-initialized because it lacks them: fpn (16), rpn (6), fastrcnn (8), maskrcnn (12)",
        "R50.npz: unused, as the model has no such variables: linear",
    ]


def test_with_other_classes_only_the_layers_that_depend_on_them_are_reinitialized() -> None:
    fits, lines = compared("COCO.npz", empty(shapes_of_r50_fpn(80)), shapes_of_r50_fpn(2))
    assert len(fits) == 307 - 6
    assert lines == [
        "COCO.npz: 301 of the model's 307 variables are initialized from it",
        "COCO.npz: re-initialized because of another shape (other classes?): "
        "fastrcnn/outputs/class 1024x81 there, 1024x3 here; "
        "fastrcnn/outputs/box 1024x324 there, 1024x12 here; maskrcnn/conv 1x1x256x80 there, "
        "1x1x256x2 here",
    ]


def test_weights_of_which_the_model_uses_none_are_rejected(tmp_path: Path) -> None:
    from model_graphs import small_graph
    from mrc_train.tfgraph import tf, v1

    path = tmp_path / "other.npz"
    np.savez(path, a=np.zeros(2), b=np.zeros(2))
    with tf.Graph().as_default(), v1.Session(config=small_graph()) as session:
        v1.get_variable("conv0/W", initializer=tf.ones([2]))
        with pytest.raises(RunDirectoryError, match=r"uses none of its 2 variables, such as a, b; give"):
            StartFrom(str(path)).init(session)


def _damaged(content: bytes) -> dict[str, bytes]:
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 0xFF
    bare = io.BytesIO()
    np.save(bare, np.zeros(3))
    return {
        "empty": b"",
        "truncated": content[: len(content) // 2],
        "flipped byte": bytes(flipped),
        "bare array": bare.getvalue(),
        "text": b"<html>404</html>",
    }


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped byte", "bare array", "text"])
def test_a_damaged_npz_is_one_line(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez_compressed(path, W=np.random.default_rng(0).normal(size=(64, 64)))
    path.write_bytes(_damaged(path.read_bytes())[damage])
    with pytest.raises(RunDirectoryError, match=r"weights.npz: neither an intact .npz file nor the prefix"):
        load_weights(str(path))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("", ""), ("run", "run/model-20"), ("run/model-3", "run/model-3")],
)
def test_weights_may_be_a_run_directory(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    for step in (3, 20):
        Path(f"run/model-{step}.index").touch()
        Path(f"run/model-{step}.data-00000-of-00001").touch()
    Path("run/model-100.index").touch()
    assert weights_file(name) == expected


def test_a_run_directory_without_a_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="has no complete checkpoint to start from"):
        weights_file(str(tmp_path))


def test_weights_of_the_same_model_are_one_line() -> None:
    shapes = shapes_of_r50_fpn()
    assert compared("a.npz", empty(shapes), shapes)[1] == [
        "a.npz: 307 of the model's 307 variables are initialized from it"
    ]


def test_variables_take_what_fits_and_keep_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from model_graphs import small_graph
    from mrc_train.tfgraph import tf, v1

    path = tmp_path / "weights.npz"
    there = {
        "conv0/W:0": np.full([2, 3], 7, np.float16),
        "fc/W:0": np.zeros([2, 9]),
        "global_step:0": np.int64(5),
    }
    np.savez(path, **there)
    caplog.set_level(logging.INFO, "mrc_train")
    with tf.Graph().as_default(), v1.Session(config=small_graph()) as session:
        names = {"conv0/W": [2, 3], "fc/W": [2, 4], "fc/W/Momentum": [2, 4]}
        variables = {name: v1.get_variable(name, initializer=tf.ones(shape)) for name, shape in names.items()}
        session.run(v1.global_variables_initializer())
        StartFrom(str(path)).init(session)
        values = session.run(variables)
    assert (values["conv0/W"] == 7).all() and values["conv0/W"].dtype == np.float32
    assert (values["fc/W"] == 1).all()
    assert caplog.messages == [
        f"{path}: 1 of the model's 2 variables are initialized from it",
        f"{path}: re-initialized because of another shape (other classes?): fc 2x9 there, 2x4 here",
    ]


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All weights of the tiny model as tensorpack's example saves them."""
    from model_graphs import Graph

    path = tmp_path_factory.mktemp("npz") / "model.npz"
    np.savez(path, **{f"{name}:0": value for name, value in Graph(training=False).values.items()})
    return path


def test_an_npz_of_a_complete_model_detects_and_is_exported_unchanged(
    npz: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    from model_graphs import Graph
    from mrc_train.predictor import Predictor

    settings = [*tiny.SETTINGS, f"DATA.BASEDIR={tiny_scenes}"]
    predictor = Predictor.load(npz, settings)
    original = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image, image_size = inference_image(predictor.cfg, original)
    expected = Graph(training=False)({"image": image, "image_size": image_size})
    found = predictor(original)
    assert len(found) > 5
    np.testing.assert_allclose(found.scores, expected["output/scores"], atol=1e-6)
    np.testing.assert_allclose(found.boxes, expected["output/boxes"], atol=1e-4)

    predictor.export(tmp_path / "again.npz")
    before, after = np.load(npz), np.load(tmp_path / "again.npz")
    assert {f"{name}:0" for name in after.files} == set(before.files)
    assert all(np.array_equal(after[name], before[f"{name}:0"]) for name in after.files)


def test_weights_of_another_model_are_rejected_naming_the_first_variable_that_differs(
    npz: Path, tiny_scenes: Path
) -> None:
    from mrc_train.predictor import Predictor

    settings = [*tiny.SETTINGS, f"DATA.BASEDIR={tiny_scenes}", "MRCNN.HEAD_DIM=8"]
    with pytest.raises(
        RunDirectoryError, match=r"which has maskrcnn/fcn0/W \[3, 3, 16, 8\]; pass the settings"
    ):
        Predictor.load(npz, settings)
