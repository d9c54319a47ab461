import numpy as np
import pytest

from orimap.tasks.decide.components.redundancy import (
    Plateau,
    alike_in_pattern,
    leading_shares,
    map_correlations,
    plateau,
    redundant_pairs,
)

SCAN = (12, 30)


def metrics_of(count, ssim=0.5, gmsd=0.3, mdsi=0.5):
    """Metrics of patterns that are all as different from each other."""
    values = {"ssim": (1, ssim), "gmsd": (0, gmsd), "mdsi": (0, mdsi)}
    return {
        name: np.where(np.eye(count, dtype=bool), same, other)
        for name, (same, other) in values.items()
    }


def cosine_of(count, pairs=()):
    cosine = np.full((count, count), 0.2)
    for a, b, value in pairs:
        cosine[a, b] = cosine[b, a] = value
    np.fill_diagonal(cosine, 1)
    return cosine


@pytest.fixture
def maps():
    """Three grains side by side, the third in two pieces; below them all a background."""
    weights = np.zeros((*SCAN, 5))
    weights[:, :10, 0] = 100
    weights[:, 10:20, 1] = 80
    weights[:, 20:25, 2] = 90
    weights[:, 25:, 3] = 70
    weights[..., 4] = 20
    return weights


def test_pieces_of_a_grain_are_one_and_background_is_none(maps):
    cosine = cosine_of(5, [(2, 3, 0.9), (0, 1, 0.4)])
    found = redundant_pairs(cosine, metrics_of(5), maps)
    np.testing.assert_array_equal(found.pairs, [[2, 3]])
    np.testing.assert_array_equal(found.group, [0, 1, 2, 2, -1])
    assert found.count == 3


def test_grains_of_one_orientation_in_two_places_stay_two(maps):
    cosine = cosine_of(5, [(0, 3, 0.95)])
    apart = redundant_pairs(cosine, metrics_of(5), maps)
    assert len(apart.pairs) == 0
    assert alike_in_pattern(cosine, metrics_of(5))[0, 3]
    assert apart.count == 4


def test_neighbours_of_another_pattern_stay_two(maps):
    assert redundant_pairs(cosine_of(5), metrics_of(5), maps).count == 4


def test_redundancy_is_passed_on():
    weights = np.zeros((*SCAN, 3))
    for j in range(3):
        weights[:, 4 * j : 4 * j + 4, j] = 1
    found = redundant_pairs(cosine_of(3, [(0, 1, 0.8), (1, 2, 0.8)]), metrics_of(3), weights)
    assert map_correlations(weights)[0, 2] < 0.2
    assert found.count == 1


def test_two_of_three_metrics_decide_where_the_cosine_does_not():
    undecided, none = cosine_of(2, [(0, 1, 0.55)]), np.eye(2)
    for cosine in (undecided, none):
        assert alike_in_pattern(cosine, metrics_of(2, ssim=0.95, gmsd=0.1))[0, 1]
        assert alike_in_pattern(cosine, metrics_of(2, gmsd=0.1, mdsi=0.3))[0, 1]
        assert not alike_in_pattern(cosine, metrics_of(2, gmsd=0.1))[0, 1]
        assert not alike_in_pattern(cosine, metrics_of(2, ssim=np.nan, mdsi=0.3))[0, 1]
    apart = cosine_of(2, [(0, 1, 0.45)])
    assert not alike_in_pattern(apart, metrics_of(2, 0.99, 0.01, 0.1))[0, 1]
    lopsided = metrics_of(2, gmsd=0.1, mdsi=0.3)
    lopsided["mdsi"][1, 0] = 0.4
    assert not alike_in_pattern(undecided, lopsided).any(where=~np.eye(2, dtype=bool))


def test_pieces_that_exclude_each_other_correlate_once_blurred():
    weights = np.zeros((*SCAN, 3))
    weights[:, 4:14:2, 0] = weights[:, 5:14:2, 1] = 1
    weights[:, 20:, 2] = 5
    correlation = map_correlations(weights)
    assert np.corrcoef(weights[..., 0].ravel(), weights[..., 1].ravel())[0, 1] < -0.1
    assert correlation[0, 1] > 0.9
    assert correlation[0, 2] < 0
    np.testing.assert_allclose(np.diag(correlation), 1)


def test_maps_without_a_blur_correlate_as_numpy_says(monkeypatch):
    monkeypatch.setattr("orimap.tasks.decide.components.redundancy.BLUR_SHARE", 0)
    weights = np.random.default_rng(0).random((5, 6, 4))
    np.testing.assert_allclose(
        map_correlations(weights), np.corrcoef(weights.reshape(30, 4).T), atol=1e-12
    )


def test_leading_shares_are_those_worked_by_hand():
    weights = np.array([[[3.0, 1, 0], [1, 1, 0], [0, 4, 0], [0, 0, 0]]])
    # The first leads with 3 + 1 of 4 (a tie counts for both), the second with 1 + 4 of 6.
    np.testing.assert_allclose(leading_shares(weights), [1, 5 / 6, 0])


def test_empty_and_even_maps_do_no_harm():
    weights = np.zeros((*SCAN, 3))
    weights[..., 0] = 7
    found = redundant_pairs(np.ones((3, 3)), metrics_of(3), weights)
    np.testing.assert_array_equal(map_correlations(weights), 0)
    assert found.count == 1
    assert redundant_pairs(np.ones((1, 1)), metrics_of(1), weights[..., 1:2]).count == 0


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([2, 3, 4, 4, 4, 5, 4], Plateau(4, 4, 0.8, None)),
        ([2, 3, 4, 5, 6, 7, 8], Plateau(None, 0, 0.0, None)),
        ([2, 2, 2, 3, 3, 3, 3], Plateau(2, 3, 3 / 5, 3)),  # as often each: the smaller
        ([2, 3, 2, 3, 3, 3, 3], Plateau(3, 4, 0.8, 2)),
        ([2, 3, 4, 4, 4, 4, 4, 6, 6, 6], Plateau(4, 5, 1.0, 6)),
        ([2, 3, 4, 5, 6, 7, 7], Plateau(7, 2, 1.0, None)),  # cut off by the range
        ([], Plateau(None, 0, 0.0, None)),
    ],
)
def test_the_number_settles_where_most_fits_hold_it(counts, expected):
    ks = np.arange(2, 2 + len(counts))
    assert plateau(ks, np.array(counts, int)) == expected
