import numpy as np
import pytest
from mrc_train.ops import sampler


@pytest.fixture
def sample(run_graph):
    """Labels of the sampled boxes of each image (foreground first), and their indices."""

    def run(labels, num, fg_fraction, seed=1):
        labels = np.int32(labels)
        seeds = np.stack([np.full(len(labels), seed), np.arange(len(labels))], axis=1)
        indices, valid = run_graph(
            lambda labels, s, i: sampler.sample(labels, sampler.random_keys(s, i), num, fg_fraction),
            labels,
            np.int32(seeds),
            np.arange(labels.shape[1], dtype=np.int32),
        )
        assert indices.shape == valid.shape == (len(labels), num)
        sampled = [row[is_valid] for row, is_valid in zip(indices, valid, strict=True)]
        assert not indices[~valid].any()
        return [labels[i][row].tolist() for i, row in enumerate(sampled)], [row.tolist() for row in sampled]

    return run


@pytest.mark.parametrize(
    ("labels", "sampled"),
    [
        ([1, 1, 1, 1, 0, 0, 0, 0], [1, 0, 0, 0]),
        ([0, 0, -1, 0, 0, 0, 0, 0], [0, 0, 0, 0]),
        ([1, 1, 1, 1, 1, 0, 0, 1], [1, 0, 0]),
        ([1, 1, 1, -1, -1, -1, 1, 1], [1]),
        ([-1] * 8, []),
        ([0, 1], [1, 0]),
    ],
    ids=[
        "enough of both",
        "no foreground",
        "too little background",
        "no background",
        "all ignored",
        "fewer boxes than asked for",
    ],
)
def test_at_most_a_quarter_is_foreground_and_background_fills_the_rest(sample, labels, sampled):
    assert sample([labels], 4, 0.25)[0] == [sampled]


def test_foreground_comes_first_and_no_box_is_sampled_twice(sample):
    labels = np.random.default_rng(0).choice([-1, 0, 1], (3, 500), p=[0.2, 0.7, 0.1])
    sampled, indices = sample(labels, 64, 0.5)
    assert sampled == [[1] * 32 + [0] * 32] * 3
    assert all(len(set(row)) == 64 for row in indices)


def test_samples_depend_on_the_seed(sample):
    labels = np.zeros((1, 1000))
    assert sample(labels, 16, 0.5, seed=7) == sample(labels, 16, 0.5, seed=7)
    assert sample(labels, 16, 0.5, seed=7) != sample(labels, 16, 0.5, seed=8)


def test_images_of_a_batch_are_sampled_independently(sample):
    _, (first, second) = sample(np.zeros((2, 1000)), 16, 0.5)
    assert first != second


def test_keys_depend_only_on_the_seed_and_the_id(run_graph):
    def keys(seeds, ids):
        return run_graph(sampler.random_keys, np.int32(seeds), np.int32(ids))

    both, second = keys([[3, 0], [3, 1]], range(100)), keys([[3, 1]], [7, 90, 5])
    assert both[1, [7, 90, 5]].tolist() == second[0].tolist()


def test_keys_are_uniform_and_uncorrelated(run_graph):
    keys = run_graph(
        sampler.random_keys, np.int32([[0, k] for k in range(50)]), np.arange(2000, dtype=np.int32)
    )
    assert keys.min() >= 0 and keys.max() < 1
    # Of 100,000 numbers, each of 20 bins has 5000, within 5 standard deviations of 69.
    assert np.abs(np.histogram(keys, 20, (0, 1))[0] - 5000).max() < 5 * 69
    for left, right in ((keys[:-1], keys[1:]), (keys[:, :-1], keys[:, 1:])):
        assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 5 / 98000**0.5


def test_every_candidate_is_equally_likely(sample):
    labels = np.tile([1] * 8 + [0] * 12 + [-1] * 5, (4000, 1))
    _, indices = sample(labels, 8, 0.25)
    share = np.bincount(np.concatenate(indices), minlength=25) / 4000
    # 2 of 8 foreground, 6 of 12 background; over 4000 samples, 5 standard deviations are 0.04.
    np.testing.assert_allclose(share, [2 / 8] * 8 + [6 / 12] * 12 + [0] * 5, atol=0.04)
