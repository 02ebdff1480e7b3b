import math

import numpy as np
import pytest
from mrc_train.ops import losses
from mrc_train.tfgraph import tf


def rpn_losses(batch_per_im):
    return lambda *inputs: losses.rpn_losses(*inputs, batch_per_im)


def mask_loss(num_images):
    return lambda *inputs: losses.mask_loss(*inputs, num_images)


def rpn_inputs(random: np.random.Generator, images: int, samples: int = 16) -> list[np.ndarray]:
    shape = (images, samples)
    return [
        random.standard_normal(shape),
        random.standard_normal((*shape, 4)),
        random.integers(0, 2, shape, np.int32),
        random.standard_normal((*shape, 4)) * 0.3,
        random.random(shape) < 0.8,
    ]


def box_head_inputs(
    random: np.random.Generator, images: int, samples: int = 16, classes: int = 5
) -> list[np.ndarray]:
    shape = (images, samples)
    return [
        random.standard_normal((*shape, classes)),
        random.standard_normal((*shape, classes, 4)),
        random.integers(0, classes, shape, np.int32),
        random.standard_normal((*shape, 4)),
        random.random(shape) < 0.8,
    ]


def test_an_untrained_rpn_has_the_loss_ln_2(run_graph):
    inputs = [np.zeros((2, 64)), np.zeros((2, 64, 4)), np.eye(2, 64, dtype=np.int32), np.zeros((2, 64, 4))]
    label_loss, box_loss = run_graph(rpn_losses(64), *inputs, np.ones((2, 64), bool))
    assert label_loss == pytest.approx(math.log(2))
    assert box_loss == 0


def test_an_untrained_box_head_of_81_classes_has_the_loss_ln_81(run_graph):
    inputs = [
        np.zeros((2, 9, 81)),
        np.zeros((2, 9, 81, 4)),
        np.full((2, 9), 80, np.int32),
        np.zeros((2, 9, 4)),
    ]
    label_loss, box_loss = run_graph(losses.box_head_losses, *inputs, np.ones((2, 9), bool))
    assert label_loss == pytest.approx(4.394, abs=1e-3)
    assert box_loss == 0


def test_an_untrained_mask_head_has_the_loss_ln_2(run_graph):
    inputs = [np.zeros((3, 28, 28, 80)), np.int32([1, 7, 80]), np.ones((3, 28, 28)), np.int32([0, 1, 1])]
    assert run_graph(mask_loss(2), *inputs) == pytest.approx(0.6931, abs=1e-4)


# Smooth L1 with sigma 3 (py-faster-rcnn): 4.5 d^2 below 1/9, |d| - 1/18 above.
@pytest.mark.parametrize(
    ("error", "loss"), [(0, 0), (0.05, 0.01125), (-0.1, 0.045), (1 / 9, 1 / 18), (1, 17 / 18), (-3, 53 / 18)]
)
def test_the_rpn_box_loss_is_smooth_l1(run_graph, error, loss):
    deltas = np.zeros((1, 2, 4))
    deltas[0, 0, 2] = error
    inputs = [np.zeros((1, 2)), deltas, np.int32([[1, 0]]), np.zeros((1, 2, 4)), np.ones((1, 2), bool)]
    assert run_graph(rpn_losses(8), *inputs)[1] == pytest.approx(loss / 8)


def test_rpn_losses_are_divided_by_batch_per_im_even_if_fewer_anchors_were_sampled(run_graph):
    logits, labels, valid = [[2.0, -1.0, 9.0, 9.0]], np.int32([[1, 0, 1, 0]]), [[True, True, False, False]]
    deltas = np.ones((1, 4, 4))
    label_loss, box_loss = run_graph(rpn_losses(16), logits, deltas, labels, np.zeros((1, 4, 4)), valid)
    assert label_loss == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 16)
    assert box_loss == pytest.approx(4 * 17 / 18 / 16)


def test_box_head_losses_are_divided_by_the_images_valid_samples(run_graph):
    random = np.random.default_rng(0)
    logits, deltas, labels, targets, valid = box_head_inputs(random, 1)
    label_loss, box_loss = run_graph(losses.box_head_losses, logits, deltas, labels, targets, valid)
    rows = np.flatnonzero(valid[0])
    entropy = [-logits[0, r, labels[0, r]] + math.log(np.exp(logits[0, r]).sum()) for r in rows]
    errors = [np.abs(deltas[0, r, labels[0, r]] - targets[0, r]).sum() for r in rows if labels[0, r] > 0]
    assert label_loss == pytest.approx(sum(entropy) / len(rows), rel=1e-5)
    assert box_loss == pytest.approx(sum(errors) / len(rows), rel=1e-5)


def test_offsets_may_be_shared_by_all_classes(run_graph):
    random = np.random.default_rng(1)
    logits, deltas, labels, targets, valid = box_head_inputs(random, 2)
    shared = deltas[:, :, :1]
    per_class = np.broadcast_to(shared, deltas.shape)
    compute = losses.box_head_losses

    def compute_shared(logits, shared, *others):
        return compute(logits, tf.ensure_shape(shared, [None, None, 1, 4]), *others)

    assert run_graph(compute_shared, logits, shared, labels, targets, valid) == pytest.approx(
        run_graph(compute, logits, per_class, labels, targets, valid)
    )


def test_the_mask_loss_is_a_mean_over_foreground_rois_on_the_mask_of_their_class(run_graph):
    random = np.random.default_rng(2)
    logits = random.standard_normal((5, 3, 3, 4))
    targets = random.integers(0, 2, (5, 3, 3)).astype(float)
    labels, image_index = np.int32([2, 0, 4, 1, 0]), np.int32([0, 0, 1, 1, 2])
    per_row = []
    for row in range(5):
        z = logits[row, :, :, labels[row] - 1]
        per_row.append(np.mean(np.log(1 + np.exp(z)) - z * targets[row]))
    expected = (per_row[0] + (per_row[2] + per_row[3]) / 2 + 0) / 3
    assert run_graph(mask_loss(3), logits, labels, targets, image_index) == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_two_has_the_mean_rpn_and_box_losses_of_two_batches_of_one(run_graph):
    random = np.random.default_rng(3)
    for compute, inputs in [
        (rpn_losses(16), rpn_inputs(random, 2)),
        (losses.box_head_losses, box_head_inputs(random, 2)),
    ]:
        inputs[4][0, 3:] = False  # far fewer samples in the first image
        together = run_graph(compute, *inputs)
        separate = [run_graph(compute, *(value[i : i + 1] for value in inputs)) for i in range(2)]
        np.testing.assert_allclose(together, np.mean(separate, axis=0), rtol=1e-5)


def test_a_batch_of_two_has_the_mean_mask_loss_of_two_batches_of_one(run_graph):
    random = np.random.default_rng(4)
    logits = random.standard_normal((6, 4, 4, 3))
    labels, targets = np.int32([1, 2, 3, 1, 2, 3]), random.integers(0, 2, (6, 4, 4)).astype(float)
    together = run_graph(mask_loss(2), logits, labels, targets, np.int32([0, 1, 1, 1, 1, 1]))
    first = run_graph(mask_loss(1), logits[:1], labels[:1], targets[:1], np.int32([0]))
    second = run_graph(mask_loss(1), logits[1:], labels[1:], targets[1:], np.int32([0] * 5))
    assert together == pytest.approx((first + second) / 2, rel=1e-5)


def gradients(compute, number):
    """Loss terms, and the gradient of their sum with respect to the first ``number`` inputs."""

    def run(*inputs):
        terms = tf.stack(compute(*inputs))
        return terms, tf.gradients(tf.reduce_sum(terms), inputs[:number], unconnected_gradients="zero")

    return run


def test_without_foreground_the_box_losses_are_zero_and_gradients_finite(run_graph):
    random = np.random.default_rng(5)
    for compute, inputs in [
        (rpn_losses(16), rpn_inputs(random, 2)),
        (losses.box_head_losses, box_head_inputs(random, 2)),
    ]:
        inputs[2][:] = 0
        inputs[3][:] = math.nan  # targets are undefined without a match
        (label_loss, box_loss), (by_logits, by_deltas) = run_graph(gradients(compute, 2), *inputs)
        assert label_loss > 0
        assert box_loss == 0
        assert np.isfinite(by_logits).all()
        assert not by_deltas.any()


def test_without_samples_all_losses_and_gradients_are_zero(run_graph):
    random = np.random.default_rng(6)
    for compute, inputs in [
        (rpn_losses(16), rpn_inputs(random, 2)),
        (losses.box_head_losses, box_head_inputs(random, 2)),
    ]:
        inputs[4][:] = False
        terms, by_inputs = run_graph(gradients(compute, 2), *inputs)
        assert not terms.any()
        assert not any(by_input.any() for by_input in by_inputs)


@pytest.mark.parametrize("rows", [0, 3])
def test_without_foreground_the_mask_loss_and_its_gradient_are_zero(run_graph, rows):
    inputs = [
        np.ones((rows, 4, 4, 3)),
        np.zeros(rows, np.int32),
        np.ones((rows, 4, 4)),
        np.zeros(rows, np.int32),
    ]
    loss, (by_logits,) = run_graph(gradients(lambda *i: [mask_loss(2)(*i)], 1), *inputs)
    assert loss == [0]
    assert not by_logits.any()


def test_the_gradient_of_each_loss_equals_finite_differences(run_graph):
    random = np.random.default_rng(7)
    mask_inputs = [
        random.standard_normal((3, 2, 2, 3)),
        np.int32([1, 3, 0]),
        random.integers(0, 2, (3, 2, 2)).astype(float),
        np.int32([0, 1, 1]),
    ]
    cases = [
        (rpn_losses(4), rpn_inputs(random, 2, 4), 2),
        (losses.box_head_losses, box_head_inputs(random, 2, 4, 3), 2),
        (lambda *i: [mask_loss(2)(*i)], mask_inputs, 1),
    ]
    step = 1e-2
    for compute, inputs, number in cases:
        _, analytic = run_graph(gradients(compute, number), *inputs)
        for position in range(number):
            direction = random.standard_normal(inputs[position].shape)
            ahead, behind = list(inputs), list(inputs)
            ahead[position] = inputs[position] + step * direction
            behind[position] = inputs[position] - step * direction
            slope = (np.sum(run_graph(compute, *ahead)) - np.sum(run_graph(compute, *behind))) / (2 * step)
            assert np.sum(analytic[position] * direction) == pytest.approx(slope, rel=0.02, abs=1e-3)
