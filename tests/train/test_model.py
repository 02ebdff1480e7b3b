"""The complete graph: its variables, its initial losses, and the variables that a step changes."""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from mrc_train import config

CLASSES = 5
TABLES = Path(__file__).with_name("names")


def batch(boxes: list[list[float]], labels: list[int], size: int = 64) -> list[np.ndarray]:
    """Inputs with one noise image; the mask of each object is its box."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, size, size, 3), np.uint8)
    masks = np.zeros((1, len(boxes), size, size), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks[0], boxes, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = 1
    return [
        np.int32(0),
        image,
        np.float32([[size, size]]),
        np.float32([boxes]),
        np.int32([labels]),
        np.packbits(masks, axis=-1),
        np.int64([7]),
    ]


OBJECTS = batch([[4, 4, 30, 34], [20, 28, 60, 60]], [1, 4])
NO_OBJECTS = batch([[0, 0, 0, 0]], [0])


@pytest.fixture
def step() -> Callable[..., Any]:
    """``step(settings, inputs)``: losses and gradients of one step, and the variables before and after it."""
    from model_graphs import loss_names, small_graph
    from mrc_train.model.detector import MaskRCNN
    from mrc_train.schedule import LearningRate
    from mrc_train.tfgraph import tf, v1
    from tensorpack.tfutils.tower import TrainTowerContext

    def run(settings: list[str], inputs: list[np.ndarray]) -> tuple[dict, list, dict, dict]:
        cfg = config.parse([*tiny.SETTINGS, *settings])
        with tf.Graph().as_default() as graph, v1.Session(config=small_graph()) as session:
            v1.set_random_seed(0)
            model = MaskRCNN(cfg, CLASSES, LearningRate.from_config(cfg.TRAIN, 1))
            placeholders = [v1.placeholder(spec.dtype, spec.shape, spec.name) for spec in model.inputs()]
            with TrainTowerContext(""):
                cost = model.build_graph(*placeholders)
                optimizer = model.optimizer()
            pairs = [(g, v) for g, v in optimizer.compute_gradients(cost, gate_gradients=1) if g is not None]
            train = optimizer.apply_gradients(pairs)
            variables = {v.op.name: v for v in v1.global_variables() if "Momentum" not in v.op.name}
            session.run(v1.global_variables_initializer())
            feed = dict(zip(placeholders, inputs, strict=True))
            before = session.run(variables)
            losses = {name[5:]: graph.get_tensor_by_name(f"{name}:0") for name in loss_names(graph)}
            losses, gradients, _ = session.run([losses, [g for g, _ in pairs], train], feed)
            return losses, gradients, before, session.run(variables)

    return run


def initial_values(settings: list[str]) -> dict[str, np.ndarray]:
    """The initial values of a backbone's variables by name."""
    from model_graphs import small_graph
    from mrc_train.model.backbone import ResNet
    from mrc_train.tfgraph import tf, v1
    from tensorpack.tfutils.tower import TrainTowerContext

    with tf.Graph().as_default(), v1.Session(config=small_graph()) as session:
        with TrainTowerContext(""):
            ResNet(config.parse([*tiny.SETTINGS, *settings]).BACKBONE).features(tf.zeros([1, 64, 64, 3]))
        session.run(v1.global_variables_initializer())
        values: dict[str, np.ndarray] = session.run({v.op.name: v for v in v1.global_variables()})
        return values


def test_initial_losses_are_those_of_equally_likely_classes(step: Callable[..., Any]) -> None:
    losses, *_ = step([], OBJECTS)
    assert losses["rpn_class"] == pytest.approx(math.log(2), abs=0.01)
    assert losses["fastrcnn_class"] == pytest.approx(math.log(CLASSES), abs=0.05)
    assert losses["mask"] == pytest.approx(math.log(2), abs=0.01)
    assert losses["rpn_box"] > 0
    assert losses["fastrcnn_box"] > 0


def test_an_image_without_objects_has_only_classification_losses(step: Callable[..., Any]) -> None:
    losses, gradients, *_ = step([], NO_OBJECTS)
    assert (losses["rpn_box"], losses["fastrcnn_box"], losses["mask"]) == (0, 0, 0)
    assert losses["rpn_class"] == pytest.approx(math.log(2), abs=0.01)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("freeze_at", "stages"), [(0, ()), (1, ("conv0/",)), (2, ("conv0/", "group0/"))], ids=range(3)
)
def test_frozen_stages_and_the_statistics_of_frozen_batch_norm_do_not_change(
    freeze_at: int, stages: tuple[str, ...], step: Callable[..., Any]
) -> None:
    *_, before, after = step(["BACKBONE.NORM=FreezeBN", f"BACKBONE.FREEZE_AT={freeze_at}"], OBJECTS)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    frozen = {name for name in before if name.startswith(stages) or "/EMA" in name}
    assert frozen and not changed & frozen
    # Stages that are trained include the affine parameters of their frozen batch norm.
    trained = {"conv0/W", "conv0/bn/gamma", "group0/block0/conv2/bn/beta", "group1/block0/conv1/W"}
    assert changed & trained == {name for name in trained if not name.startswith(stages)}
    assert {"group1/block0/conv2/bn/beta", "fpn/lateral_1x1_c2/W"} <= changed


def test_frozen_affine_parameters_do_not_change(step: Callable[..., Any]) -> None:
    settings = ["BACKBONE.NORM=FreezeBN", "BACKBONE.FREEZE_AFFINE=True"]
    *_, before, after = step(settings, OBJECTS)
    affine = [name for name in before if name.endswith(("/gamma", "/beta"))]
    assert affine and all(np.array_equal(before[name], after[name]) for name in affine)
    assert not np.array_equal(before["conv0/W"], after["conv0/W"])


def test_a_step_updates_the_moving_averages_of_batch_norm(step: Callable[..., Any]) -> None:
    *_, before, after = step(["BACKBONE.NORM=BN"], OBJECTS)
    averages = [name for name in before if name.endswith("/EMA") and "/bn/" in name]
    assert averages and not any(np.array_equal(before[name], after[name]) for name in averages)


@pytest.mark.parametrize("norm", ["BN", "FreezeBN", "GN"])
@pytest.mark.parametrize("zero", [True, False], ids=["zero_init_residual", "all_ones"])
def test_gamma_is_initialized_to_0_at_the_end_of_residual_branches_on_request_and_to_1_elsewhere(
    norm: str, zero: bool
) -> None:
    settings = [f"BACKBONE.NORM={norm}", f"BACKBONE.ZERO_INIT_RESIDUAL={zero}"]
    values = initial_values([*settings, "BACKBONE.CHANNELS=(32,32,32,32)"])
    gammas = {name: value for name, value in values.items() if name.endswith("/gamma")}
    last = {name for name in gammas if "/conv2/" in name}
    assert len(last) == 4 and len(gammas) > 8
    for name, value in gammas.items():
        assert np.array_equal(value, np.full(32, 0.0 if zero and name in last else 1.0)), name


@pytest.mark.parametrize(
    "settings",
    [
        [
            *("BACKBONE.NORM=GN", "BACKBONE.CHANNELS=(32,32,32,32)", "FPN.NORM=GN", "FPN.NUM_CHANNEL=32"),
            *("FPN.FRCNN_HEAD_FUNC=fastrcnn_4conv1fc_gn_head", "FPN.FRCNN_CONV_HEAD_DIM=32"),
            *("FPN.MRCNN_HEAD_FUNC=maskrcnn_up4conv_gn_head", "MRCNN.HEAD_DIM=32"),
        ],
        [
            *("FPN.FRCNN_HEAD_FUNC=fastrcnn_4conv1fc_head", "FPN.FRCNN_CONV_HEAD_DIM=16"),
            *("FRCNN.CLASS_AGNOSTIC=True", "MRCNN.CLASS_AGNOSTIC=True", "RPN.CROWD_OVERLAP_THRESH=0.5"),
        ],
        [
            *("BACKBONE.BLOCK=bottleneck", "BACKBONE.TF_PAD_MODE=True", "BACKBONE.STRIDE_1X1=True"),
            *("TRAIN.OPTIMIZER=adam", "TRAIN.GRADIENT_CLIP=1"),
        ],
        ["MODE_FPN=False", "RPN.HEAD_DIM=16", "RPN.TRAIN_PRE_NMS_TOPK=50", "RPN.TRAIN_POST_NMS_TOPK=30"],
        ["FPN.CASCADE=True", "FPN.PROPOSAL_MODE=Joint", "RPN.TRAIN_PRE_NMS_TOPK=50"],
    ],
    ids=lambda settings: settings[0],
)
def test_a_step_works_with_every_choice_of_layers(settings: list[str], step: Callable[..., Any]) -> None:
    losses, gradients, before, after = step(settings, OBJECTS)
    assert all(np.isfinite(loss) for loss in losses.values())
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert any(not np.array_equal(before[name], after[name]) for name in before)


@cache
def variables(num_classes: int, *settings: str) -> dict[str, tuple[str, bool]]:
    """Shape (such as ``3x3x64x64``) of each variable and whether it is trained, by name."""
    from mrc_train.model.detector import MaskRCNN
    from mrc_train.tfgraph import tf, v1
    from tensorpack.tfutils.tower import TrainTowerContext

    with tf.Graph().as_default():
        model = MaskRCNN(config.parse(settings), num_classes)
        with TrainTowerContext(""):
            model.build_graph(*[v1.placeholder(spec.dtype, spec.shape, spec.name) for spec in model.inputs()])
        trained = {v.op.name for v in v1.trainable_variables()}
        return {
            v.op.name: ("x".join(map(str, v.shape.as_list())), v.op.name in trained)
            for v in v1.global_variables()
        }


def test_resnet50_fpn_has_the_published_number_of_parameters() -> None:
    """torchvision's maskrcnn_resnet50_fpn has 44,401,393 parameters for 91 classes, without batch norm.

    Its mask predictor also has a background channel, with 256 weights and a bias.
    """
    shapes = {name: shape for name, (shape, _) in variables(91).items() if "/bn/" not in name}
    assert sum(math.prod(map(int, shape.split("x"))) for shape in shapes.values()) == 44_401_393 - 257


@pytest.mark.parametrize("table", sorted(TABLES.glob("*.txt")), ids=lambda path: path.stem)
def test_variables_have_the_names_and_shapes_of_tensorpacks_example(table: Path) -> None:
    lines = table.read_text().splitlines()
    settings = next(line for line in lines if line.startswith("# settings:")).split()[2:]
    rows = (line.split() for line in lines if not line.startswith("#"))
    expected = {name: (shape, not frozen) for name, shape, *frozen in rows}
    assert variables(81, *settings) == expected
