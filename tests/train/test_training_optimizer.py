"""One step of the real model against the optimizer's rules, calculated independently."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from mrc_train.config import parse

CLIP, DECAY = 0.05, 0.01


@pytest.fixture(scope="module", params=[False, True], ids=["", "scaled loss"])
def step(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Gradients, momenta and variables of one step at a learning rate of 0.4 / 8."""
    from model_graphs import small_graph
    from mrc_train.model.detector import MaskRCNN
    from mrc_train.schedule import LearningRate
    from mrc_train.tfgraph import tf, v1
    from tensorpack.tfutils.tower import TrainTowerContext

    settings = [f"TRAIN.GRADIENT_CLIP={CLIP}", f"TRAIN.WEIGHT_DECAY={DECAY}", "TRAIN.BASE_LR=0.4"]
    cfg = parse([*tiny.SETTINGS, *settings, "BACKBONE.NORM=BN"])
    inputs = {
        "step": 0,
        "image": np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)),
        "image_size": [[64, 64]],
        "gt_boxes": [[[4, 4, 40, 50]]],
        "gt_labels": [[1]],
        "gt_masks": np.full((1, 1, 64, 8), 255),
        "image_id": [7],
    }
    with tf.Graph().as_default() as graph, v1.Session(config=small_graph()) as session:
        v1.set_random_seed(0)
        model = MaskRCNN(cfg, 3, LearningRate.from_config(cfg.TRAIN, 1), scales_loss=request.param)
        placeholders = [v1.placeholder(spec.dtype, spec.shape, spec.name) for spec in model.inputs()]
        with TrainTowerContext(""):
            cost = model.build_graph(*placeholders)
            optimizer = model.optimizer()
        pairs = [(g, v) for g, v in optimizer.compute_gradients(cost, gate_gradients=1) if g is not None]
        train = optimizer.apply_gradients(pairs)
        trained = {variable.op.name: variable for _, variable in pairs}
        session.run(v1.global_variables_initializer())
        before = session.run(trained)
        decay = graph.get_tensor_by_name("loss/weight_decay:0")
        gradients, decay, _ = session.run(
            [{v.op.name: g for g, v in pairs}, decay, train],
            {placeholder: inputs[placeholder.op.name] for placeholder in placeholders},
        )
        momenta = {
            v.op.name.removesuffix("/Momentum"): v for v in v1.global_variables() if "Momentum" in v.op.name
        }
        return SimpleNamespace(
            gradients=gradients,
            weight_decay=decay,
            before=before,
            momenta=session.run(momenta),
            after=session.run(trained),
        )


def test_the_first_momentum_is_the_gradient_clipped_by_its_global_norm(step: SimpleNamespace) -> None:
    norm = np.sqrt(sum((gradient.astype(np.float64) ** 2).sum() for gradient in step.gradients.values()))
    assert norm > 2 * CLIP
    for name, gradient in step.gradients.items():
        np.testing.assert_allclose(step.momenta[name], gradient * CLIP / norm, rtol=1e-4, atol=1e-9)


def test_a_variable_moves_by_the_learning_rate_times_its_momentum(step: SimpleNamespace) -> None:
    for name, before in step.before.items():
        np.testing.assert_allclose(
            step.after[name], before - 0.4 / 8 * step.momenta[name], rtol=1e-5, atol=1e-8, err_msg=name
        )


def test_weights_decay_and_biases_and_norms_do_not(step: SimpleNamespace) -> None:
    weights = {name: value for name, value in step.before.items() if name.endswith("/W")}
    assert any(name.endswith(("/b", "/gamma", "/beta")) for name in step.before)
    expected = DECAY / 2 * sum((value.astype(np.float64) ** 2).sum() for value in weights.values())
    assert step.weight_decay == pytest.approx(expected, rel=1e-5)
