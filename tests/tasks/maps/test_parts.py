import numpy as np
import pytest

from orimap.tasks.decide.grains.fit import disc_variance
from orimap.tasks.decide.grains.stored import find_grains, read_dark_fields, write_dark_fields
from orimap.tasks.factorise.stored_fits import fit_group
from orimap.tasks.maps.labels_and_overlap import map_clusters
from orimap.tasks.maps.parts import grain_parts, parts_by_look
from orimap.tasks.maps.uncertainty import CountingNoise
from orimap.tasks.store import variables
from orimap.tasks.store.groups import write_group


@pytest.fixture
def store(two_grains, sketch_of):
    """A scan of two grains, with dark fields."""
    store = sketch_of(two_grains.counts, two_grains.beam)
    write_dark_fields(store, [], "m", radius_px=2.5, centre=None, dispersion=1.0)
    return store


def test_grains_have_the_weights_of_their_reflections_and_a_background(store):
    fields = read_dark_fields(store)
    fit, merged = find_grains(fields, 2, split_bent=False)
    parts = grain_parts(store, 2, None, split_bent=False)
    assert parts.weights.shape == (10, 13, 3)
    np.testing.assert_array_equal(parts.weights[..., :2].reshape(-1, 2), fit.weights)
    background = parts.weights[..., 2].ravel()
    np.testing.assert_array_equal(background, fields.background_weights)
    assert background.min() > 0
    np.testing.assert_array_equal(parts.component_cluster, [*merged.component_cluster, -1])
    assert sorted(parts.component_cluster) == [-1, 0, 1]
    assert variables.component_pattern.read(parts.stored).shape == (3, 64, 64)
    assert parts.noise is None


def test_grains_are_present_where_they_are_and_not_in_background_alone(store, two_grains):
    present = grain_parts(store, 2, None, split_bent=False).present
    grain = two_grains.shares.sum(axis=2) > 0
    assert present[grain].all()
    # The row beside them may borrow from them, and noise is present here and there.
    assert present[9].mean() < 0.1


def test_the_maps_are_those_of_the_grains(store, two_grains):
    parts = grain_parts(store, 2, 1.0, split_bent=False)
    maps = map_clusters(
        parts.weights, parts.component_cluster, noise=parts.noise, present=parts.present
    )
    np.testing.assert_array_equal(maps.label[:8, :6], 0)
    np.testing.assert_array_equal(maps.label[:8, 7:], 1)
    np.testing.assert_array_equal(maps.label[9], -1)
    assert np.all(maps.second_label[:8, 6] >= 0)
    assert (maps.overlap_ratio[:8, :6] > 0).mean() < 0.05


def alone(parts, cluster, where):
    """Weights of a cluster at some positions, and the error that is said of them."""
    weights = parts.weights.reshape(-1, parts.weights.shape[-1])
    variance = np.concatenate([v for _, v in parts.noise.blocks(weights, parts.component_cluster)])
    component = int(np.flatnonzero(parts.component_cluster == cluster)[0])
    error = np.sqrt(variance[:, cluster, cluster]).reshape(parts.weights.shape[:2])
    return parts.weights[(*where, component)].ravel(), error[where].ravel()


@pytest.mark.parametrize(("cluster", "columns"), [(0, slice(0, 6)), (1, slice(7, 13))])
def test_errors_are_those_of_equal_positions_counted_again(store, cluster, columns):
    parts = grain_parts(store, 2, 1.0, split_bent=False)
    weights, error = alone(parts, cluster, (slice(0, 8), columns))
    # Of 48 positions a standard deviation is known to a tenth; the background is fitted as well.
    assert 0.8 < error.mean() / weights.std(ddof=1) < 1.2
    # Not only the disc itself is noisy: half of it or more is what lies below.
    assert error.mean() > 1.1 * np.sqrt(weights.mean())


def test_reflections_count_as_they_do_in_the_fit(store):
    parts = grain_parts(store, 2, 1.0, split_bent=False)
    reflections = variables.component_reflection.read(parts.stored).values
    expected = (reflections / disc_variance(read_dark_fields(store))) @ reflections.T
    np.testing.assert_allclose(parts.noise.gram, expected, rtol=1e-5, atol=1e-12)


def test_noise_follows_the_dispersion_of_every_position(store):
    one = grain_parts(store, 2, 1.0, split_bent=False)
    averaged = np.linspace(0.1, 1, 130).reshape(10, 13)
    some = grain_parts(store, 2, averaged, split_bent=False)
    where = (slice(0, 8), slice(0, 6))
    np.testing.assert_allclose(
        alone(some, 0, where)[1], alone(one, 0, where)[1] * np.sqrt(averaged[where]).ravel()
    )
    np.testing.assert_array_equal(one.noise.fitted, [True, True, False])


def test_a_bent_grain_is_split_where_asked(two_grains, sketch_of):
    # The second grain gets the places of the first one, half of them bright in each.
    half = np.arange(7) % 2
    y, x = np.mgrid[:64, :64]
    discs = [30.0 * (np.hypot(y - v, x - u) <= 2.5) for v, u in two_grains.places[0]]
    tilts = [np.tensordot(0.15 + 0.85 * h, discs, axes=1) for h in (half, 1 - half)]
    fading = np.clip(np.linspace(-0.5, 1.5, 13), 0, 1)
    shares = np.broadcast_to(np.stack([1 - fading, fading], axis=1), (10, 13, 2))
    counts = np.random.default_rng(0).poisson(np.tensordot(shares, tilts, axes=1) + 20.0)
    store = sketch_of(counts, two_grains.beam)
    write_dark_fields(store, [], "m", radius_px=2.5, centre=None, dispersion=1.0)
    for split, expected in ((False, [-1, 0, 0]), (True, [-1, 0, 1])):
        parts = grain_parts(store, 2, None, split_bent=split)
        assert sorted(parts.component_cluster) == expected


@pytest.fixture
def fitted(two_grains, sketch_of):
    """A scan without reflections, its fit of two components, and what their patterns are."""
    y, x = np.mgrid[:64, :64]
    patterns = np.stack([1 + np.cos(y / 4) / 2, 1 + np.cos(x / 4) / 2])
    patterns /= patterns.sum(axis=(1, 2), keepdims=True)
    weights = 3e4 * two_grains.shares
    counts = np.random.default_rng(1).poisson(np.tensordot(weights, patterns, axes=1) + 0.5)
    valid = np.ones((64, 64), bool)
    valid[3] = False
    store = sketch_of(counts, two_grains.beam, valid, rank=6)
    arrays = {variables.component_pattern: patterns, variables.scan_weight: weights}
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    ds = variables.dataset(arrays, converged=True)
    write_group(store, fit_group(2), ds, "m")
    return store, ds, counts, valid & ~two_grains.beam


def test_without_reflections_the_parts_are_those_of_the_fit(fitted):
    store, ds, _, _ = fitted
    parts = parts_by_look(store, 2, None)
    np.testing.assert_array_equal(parts.component_cluster, [0, 1])
    for variable in (variables.component_pattern, variables.scan_weight):
        np.testing.assert_array_equal(variable.read(parts.stored), variable.read(ds))
    np.testing.assert_array_equal(parts.weights, variables.scan_weight.read(ds))
    assert parts.present.shape == (10, 13)
    assert parts.present.all()
    assert parts.noise is None
    # Marks of the fit are not those of what is decided.
    assert parts.stored.attrs == {}


def test_without_reflections_the_noise_is_that_of_the_whole_patterns(fitted):
    store, ds, counts, seen = fitted
    parts = parts_by_look(store, 2, 0.5)
    patterns = variables.component_pattern.read(ds).values
    mean = counts.mean(axis=(0, 1))
    pixel = np.where(seen, 1 / np.sqrt(np.where(mean > 0, mean, 1)), 0.0).ravel()
    expected = CountingNoise.of(patterns.reshape(2, -1), pixel, 0.5)
    for name in ("gram", "spread"):
        np.testing.assert_allclose(getattr(parts.noise, name), getattr(expected, name), rtol=1e-5)
    assert parts.noise.dispersion == 0.5
    assert parts.noise.fitted is None


def test_patterns_that_differ_in_what_is_left_out_alone_are_one(fitted, two_grains):
    store, ds, _, seen = fitted
    patterns = variables.component_pattern.read(ds).values
    patterns = np.stack([patterns[0], np.where(seen, patterns[0], 5 * patterns[1])])
    arrays = {
        variables.component_pattern: patterns,
        variables.scan_weight: variables.scan_weight.read(ds).values,
    }
    write_group(store, fit_group(2), variables.dataset(arrays), "m")
    np.testing.assert_array_equal(parts_by_look(store, 2, None).component_cluster, [0, 0])
