import numpy as np
import pytest
from scipy.optimize import nnls

from orimap.tasks.decide.grains import fit as module
from orimap.tasks.decide.grains.fit import (
    CHANGES,
    MOST_POSITIONS,
    GrainFit,
    fit_grains,
)

SHAPE = (12, 14)
# Three crystals: the first two have one reflection in common.
CRYSTALS = np.array(
    [[5.0, 3, 1, 2, 0, 0, 0, 0], [0, 0, 0, 4, 4, 1, 0, 0], [0, 0, 0, 0, 0, 0, 2, 6]]
)


def thirds(heights=(100.0, 100, 100), shape=SHAPE):
    """Weights (scan_y, scan_x, crystal): one beside the other, a column of mixtures between."""
    weights = np.zeros((*shape, 3))
    edges = np.linspace(0, shape[1], 4).astype(int)
    for i, height in enumerate(heights):
        weights[:, edges[i] : edges[i + 1], i] = height
    for edge in edges[1:3]:
        weights[:, edge] = 0.5 * (weights[:, edge - 1] + weights[:, edge + 1])
    return weights


def matched(found, expected):
    """The order in which components found are the crystals expected."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found, expected)]
    order = (unit[1] @ unit[0].T).argmax(axis=1)
    assert sorted(order) == list(range(len(found)))
    return order


def test_crystals_and_their_weights_are_found_again(fields_of):
    weights = thirds((100, 250, 40))
    fit = fit_grains(fields_of(weights @ CRYSTALS), 3)
    order = matched(fit.reflections, CRYSTALS)
    total = CRYSTALS.sum(axis=1)
    np.testing.assert_allclose(fit.reflections.sum(axis=1), 1)
    expected = CRYSTALS / total[:, None]
    np.testing.assert_allclose(fit.reflections[order], expected, atol=0.01)
    # A weight is the intensity of all reflections.
    expected = weights.reshape(-1, 3) * total
    assert np.all(np.abs(fit.weights[:, order] - expected) < 0.02 * expected.max(axis=0))
    assert min(fit.weights.min(), fit.reflections.min()) >= 0


def test_brighter_positions_have_larger_weights_and_the_same_reflections(fields_of):
    intensity = thirds() @ CRYSTALS
    brighter = np.linspace(1, 5, SHAPE[0])[:, None, None]
    plain, bright = (fit_grains(fields_of(i), 3) for i in (intensity, brighter * intensity))
    order = matched(bright.reflections, plain.reflections)
    np.testing.assert_allclose(bright.reflections[order], plain.reflections, atol=0.01)
    ratio = bright.weights[:, order].sum(axis=1) / plain.weights.sum(axis=1)
    np.testing.assert_allclose(ratio.reshape(SHAPE), np.tile(brighter[..., 0], 14), rtol=0.01)


@pytest.mark.parametrize("dispersion", [1.0, 30.0])
def test_weights_are_the_least_squares_for_what_is_uncertain_at_their_position(
    fields_of, dispersion
):
    below = np.array([10.0, 1e4, 10, 300, 2e5, 10, 10, 1000])
    rng = np.random.default_rng(0)
    fields = fields_of(thirds() @ CRYSTALS, below, rng, dispersion)
    net = fields.scan @ fields.net
    assert net.min() < 0
    fit = fit_grains(fields, 3)
    unlike = []
    for position in range(0, len(net), 5):
        # By hand: the background is the same everywhere, and a tilt changes 30 % of what is there.
        expected = fit.weights[position] @ fit.reflections
        error = np.sqrt(dispersion * (below + expected) + (CHANGES * expected) ** 2)
        weighed = nnls((fit.reflections / error).T, net[position] / error)[0]
        unlike.append(np.abs(fit.weights[position] - weighed).max() / weighed.max())
    assert np.median(unlike) < 0.01
    assert np.max(unlike) < 0.1


def test_a_weak_grain_is_told_better_than_by_what_reflections_vary_over_the_scan(fields_of):
    # Both weak crystals have a place that is bright in the first one.
    crystals = np.array([[5.0, 3, 0, 0, 0], [0, 3, 2, 0, 1], [2, 0, 0, 1, 1]])
    weights = thirds((3000, 20, 20))
    fields = fields_of(weights @ crystals, 5.0, np.random.default_rng(1))
    fit = fit_grains(fields, 3)
    order = matched(fit.reflections, crystals)
    net = fields.scan @ fields.net
    alike = 1 / np.sqrt((fields.scan @ fields.whole).mean(axis=0) + CHANGES**2 * (net**2).mean(0))
    plain = np.stack([nnls((fit.reflections * alike).T, one * alike)[0] for one in net])
    expected = (weights * crystals.sum(axis=1)).reshape(-1, 3)
    inside = expected[:, 0] == 0
    ours, theirs = (
        np.abs(found[inside][:, order] - expected[inside]).mean() for found in (fit.weights, plain)
    )
    assert ours < 0.85 * theirs


def test_a_dim_grain_comes_before_what_changes_within_a_bright_one(fields_of):
    # They have the same places, and the bright one is a hundred times as bright.
    crystals = np.array([[5.0, 3, 1, 2], [1, 1, 4, 5]])
    weights = thirds((1000, 10, 10))
    weights[..., 1] += weights[..., 2]
    intensity = weights[..., :2] @ crystals
    # Over the bright grain reflections become dimmer or brighter by a fifth of themselves.
    bend = 0.2 * np.linspace(-1, 1, SHAPE[0])[:, None, None]
    intensity[:, :4] *= 1 + bend * np.array([1, -1, 1, -1])
    fit = fit_grains(fields_of(intensity, below=1.0), 2)
    unlike = np.abs(fit.reflections - crystals[1] / 11).max(axis=1)
    assert unlike.min() < 0.01
    dim = fit.weights[:, [unlike.argmin(), unlike.argmax()]].reshape(*SHAPE, 2)[:, 5:]
    np.testing.assert_allclose(dim[..., 0], 110, rtol=0.02)
    np.testing.assert_allclose(dim[..., 1], 0, atol=2)


def test_a_scan_that_is_too_large_for_all_positions_has_nearly_the_same_weights(
    fields_of, monkeypatch
):
    shape = (128, 132)
    assert shape[0] * shape[1] > MOST_POSITIONS
    fields = fields_of(thirds(shape=shape) @ CRYSTALS, 200.0, np.random.default_rng(3))
    monkeypatch.setattr(module, "MOST_POSITIONS", 3000)
    part = fit_grains(fields, 3)
    monkeypatch.setattr(module, "MOST_POSITIONS", len(fields.scan))
    whole = fit_grains(fields, 3)
    order = matched(part.reflections, whole.reflections)
    assert part.weights.shape == whole.weights.shape == (len(fields.scan), 3)
    np.testing.assert_allclose(part.reflections[order], whole.reflections, atol=0.01)
    difference = np.abs(part.weights[:, order] - whole.weights)
    assert np.median(difference) < 0.01 * whole.weights.max()
    assert not np.array_equal(part.weights[:, order], whole.weights)


@pytest.mark.parametrize("most", [40, 167, 168])
def test_positions_to_fit_are_all_or_different_ones(monkeypatch, most):
    monkeypatch.setattr(module, "MOST_POSITIONS", most)
    chosen = module._spread_evenly(168)
    assert len(np.unique(chosen)) == most
    # From every quarter of the scan.
    quarters = np.bincount(chosen // 42)
    assert len(quarters) == 4
    assert quarters.min() >= most / 8


def test_no_more_components_are_fitted_than_there_are_directions(fields_of):
    fit = fit_grains(fields_of(thirds() @ CRYSTALS), 7)
    assert (fit.weights.shape, fit.reflections.shape) == ((168, 3), (3, 8))
    single = fit_grains(fields_of(np.array([[[90.0, 30]]])), 2)
    np.testing.assert_allclose(single.weights, [[120]])
    np.testing.assert_allclose(single.reflections, [[0.75, 0.25]])


@pytest.mark.parametrize("intensity", [np.zeros((3, 4, 0)), np.zeros((3, 4, 5))])
def test_without_places_or_reflections_there_is_no_component(fields_of, intensity):
    fit = fit_grains(fields_of(intensity), 2)
    assert (fit.weights.shape, fit.reflections.shape) == ((12, 0), (0, intensity.shape[-1]))


def test_the_same_dark_fields_have_the_same_components(fields_of):
    fields = fields_of(thirds() @ CRYSTALS, 200.0, np.random.default_rng(3))
    first, second = (fit_grains(fields, 4) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.reflections, second.reflections)


def test_shares_are_of_a_position_that_a_component_fills_alone():
    weights = np.zeros((20, 3))
    weights[:10, 0], weights[10:, 1] = 800, 20
    weights[3] = 400, 10, 0
    share = GrainFit(weights, np.ones((3, 1))).share
    np.testing.assert_allclose(share[[0, 3, 15]], [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0]])
