import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from orimap.tasks.decide.evidence.stability import group_silhouettes, match_components, stability
from orimap.tasks.errors import InputError
from orimap.tasks.factorise.sketch import Sketch

GRAINS, SCAN, PIXELS = 5, (16, 15), 400


def sketched(counts, rank):
    """A sketch of all directions asked for, by NumPy, with unit weights."""
    left, values, right = np.linalg.svd(counts, full_matrices=False)
    return Sketch(
        np.ascontiguousarray(left.T[:rank]),
        values[:rank],
        right[:rank],
        np.zeros((rank, 0)),
        np.ones(len(counts)),
        float(np.vdot(counts, counts)),
    )


@pytest.fixture(scope="module")
def grains():
    """Stripes of five sparse patterns with soft boundaries and Poisson noise."""
    rng = np.random.default_rng(3)
    patterns = rng.gamma(0.15, 1, (GRAINS, PIXELS))
    patterns /= patterns.sum(axis=1, keepdims=True)
    column = np.arange(SCAN[1])[:, None] - 3 * np.arange(GRAINS) - 1
    weights = np.tile(np.exp(-0.5 * (column / 1.3) ** 2), (SCAN[0], 1))
    return sketched(rng.poisson(4000 * weights @ patterns).astype(float), 12)


def test_as_many_components_as_patterns_come_back_every_time(grains):
    result = stability(grains, GRAINS, seed=0)
    assert result.silhouette.shape == (GRAINS,)
    assert result.smallest > 0.95
    assert result.stable
    assert np.all(np.diff(result.silhouette) <= 0)


@pytest.mark.parametrize("more", [1, 2, 3])
def test_a_component_too_many_is_another_one_every_time(grains, more):
    result = stability(grains, GRAINS + more, seed=0)
    assert result.smallest < 0.5
    assert not result.stable
    # The patterns that are there still come back.
    assert np.count_nonzero(result.silhouette > 0.8) >= GRAINS - more


def test_the_seed_decides_and_nothing_else(grains):
    first, again, other = (stability(grains, 6, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.silhouette, again.silhouette)
    assert np.any(first.silhouette != other.silhouette)


def test_silhouettes_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    groups = rng.random((4, 3, 1)) * 0.6 + rng.random((4, 3, 7)) + 3 * np.eye(3, 7)
    groups /= np.linalg.norm(groups, axis=2, keepdims=True)
    expected = silhouette_samples(groups.reshape(12, 7), np.tile(np.arange(3), 4), metric="cosine")
    np.testing.assert_allclose(
        group_silhouettes(groups), expected.reshape(4, 3).mean(axis=0), atol=1e-9
    )


def test_silhouettes_of_two_repeats_are_those_worked_by_hand():
    # Distances: .2 within the first group, 0 within the second; .4 and 1 between them.
    groups = np.array([[[1, 0], [0, 1]], [[0.8, 0.6], [0, 1]]], float)
    first = ((1 - 0.2) / 1 + (0.4 - 0.2) / 0.4) / 2
    np.testing.assert_allclose(group_silhouettes(groups), [first, 1.0])


def test_a_single_component_is_measured_against_a_right_angle(grains):
    groups = np.array([[[1, 0]], [[0.6, 0.8]]], float)
    np.testing.assert_allclose(group_silhouettes(groups), [0.6])
    assert stability(grains, 1, seed=0).smallest > 0.99


def test_components_are_matched_in_whatever_order_they_come():
    rng = np.random.default_rng(5)
    patterns = np.eye(4, 9) + 0.1 * rng.random((4, 9))
    shuffled = np.stack([patterns[rng.permutation(4)] for _ in range(5)])
    shuffled /= np.linalg.norm(shuffled, axis=2, keepdims=True)
    matched = match_components(shuffled)
    for repeat in matched[1:]:
        np.testing.assert_array_equal(repeat, matched[0])


def test_empty_components_and_a_rank_too_low_count_as_unstable():
    weights = np.repeat(np.eye(2), 20, axis=0)
    exact = sketched(weights @ np.array([[3.0, 0, 1, 0], [0, 2, 0, 1]]), 4)
    assert stability(exact, 2, seed=0).smallest > 0.99
    result = stability(exact, 4, seed=0)
    assert np.all(np.isfinite(result.silhouette))
    assert result.smallest < 0.5
    groups = np.zeros((3, 2, 4))
    groups[:, 0, 0] = 1
    np.testing.assert_array_equal(group_silhouettes(groups), [1, 0])
    np.testing.assert_array_equal(group_silhouettes(np.zeros((3, 2, 4))), [0, 0])


def test_positions_that_are_nearly_all_empty_do_no_harm():
    counts = np.zeros((40, 6))
    counts[7] = 3
    for seed in range(4):
        assert np.all(np.isfinite(stability(sketched(counts, 1), 1, seed=seed).silhouette))


@pytest.mark.parametrize(("k", "repeats"), [(13, 4), (0, 4), (3, 1)])
def test_what_cannot_be_repeated_is_refused(grains, k, repeats):
    with pytest.raises(InputError, match=f"{repeats} repeats of k = {k}"):
        stability(grains, k, seed=0, repeats=repeats)
