import numpy as np
import pytest

from orimap.tasks.decide.grains.dark_fields import dark_fields
from orimap.tasks.decide.grains.stored import (
    DARK_FIELDS,
    SMALLEST_DETECTOR_PX,
    find_grains,
    grains_dataset,
    read_dark_fields,
    write_dark_fields,
)
from orimap.tasks.store import variables
from orimap.tasks.store.groups import complete_mark, open_group, write_group

RADIUS = 2.5
MIDDLE = (31.5, 31.5)


def write(store, fits=(), centre=None, dispersion=1.0, radius_px=RADIUS):
    return write_dark_fields(
        store, fits, "m", radius_px=radius_px, centre=centre, dispersion=dispersion
    )


def write_fit(store, patterns, weights):
    arrays = {variables.component_pattern: patterns, variables.scan_weight: weights}
    arrays = {name: np.asarray(values, np.float32) for name, values in arrays.items()}
    write_group(store, "fits/k01", variables.dataset(arrays), "m")


@pytest.fixture
def store(two_grains, sketch_of):
    """A scan of two grains, with dark fields."""
    store = sketch_of(two_grains.counts, two_grains.beam)
    write(store)
    return store


def test_reflections_of_all_grains_are_found_where_they_are(store, two_grains):
    found = read_dark_fields(store).places
    # At the very edge, noise may look like one.
    found = found[(found.min(axis=1) >= 3) & (found.max(axis=1) < 61)]
    expected = np.concatenate(two_grains.places)
    assert len(found) == len(expected)
    distance = np.hypot(*(found[:, None] - expected[None]).transpose(2, 0, 1))
    assert distance.min(axis=0).max() <= 1


def test_what_is_read_back_are_the_dark_fields_of_the_plain_patterns(store, two_grains):
    fields = read_dark_fields(store)
    patterns = np.where(two_grains.beam, 0.0, two_grains.counts).reshape(-1, 64, 64)
    expected = dark_fields(
        np.eye(len(patterns)),
        patterns,
        fields.places,
        two_grains.beam,
        MIDDLE,
        radius_px=RADIUS,
        scan_shape=(10, 13),
    )
    for name in ("net", "whole", "background"):
        found, values = fields.scan @ getattr(fields, name), getattr(expected, name)
        np.testing.assert_allclose(found, values, atol=1e-6 * np.abs(values).max())
    assert fields.scan_shape == (10, 13)
    assert fields.net.shape == (len(fields.background), len(fields.places))


def test_larger_pixels_between_chips_show_no_reflections(two_grains, sketch_of):
    expected = np.concatenate(two_grains.places)
    # Few electrons hit the line: brighter, but not at nearly every pixel of it.
    counts = two_grains.counts.copy()
    rng = np.random.default_rng(2)
    counts[:, :, 20:22] += rng.poisson(1.5 * counts[:, :, 20:22])
    counts[..., 43] += rng.poisson(1.5 * counts[..., 43])
    store = sketch_of(counts, two_grains.beam)

    def on_lines(places, reach):
        return (abs(places[:, 0] - 20.5) <= 0.5 + reach) | (abs(places[:, 1] - 43) <= reach)

    write_dark_fields(
        store, (), "m", radius_px=RADIUS, centre=None, dispersion=1.0, odd_lines=((20, 21), (43,))
    )
    found = read_dark_fields(store)
    assert not on_lines(found.places, RADIUS + 1).any()
    # At the very edge, noise may look like one.
    inside = (found.places.min(axis=1) >= 3) & (found.places.max(axis=1) < 61)
    free = expected[~on_lines(expected, RADIUS + 2)]
    distance = np.hypot(*(found.places[inside][:, None] - free[None]).transpose(2, 0, 1))
    assert distance.min(axis=0).max() <= 1
    # Nothing is taken for a reflection that is none, beside the lines or elsewhere.
    distance = np.hypot(*(found.places[inside][:, None] - expected).transpose(2, 0, 1))
    assert distance.min(axis=1).max() <= 1


def test_the_group_names_its_mark_and_what_it_was_made_with(store, two_grains):
    assert complete_mark(store, DARK_FIELDS) == "m"
    count = write(store, dispersion=2.5, centre=(20.0, 31.0))
    assert count == len(read_dark_fields(store).places)
    assert read_dark_fields(store).dispersion == 2.5
    attrs = open_group(store, DARK_FIELDS).attrs
    assert (attrs["radius_px"], attrs["dispersion"]) == (RADIUS, 2.5)


def test_the_background_lies_around_the_direct_beam(store):
    middle = read_dark_fields(store).background
    write(store, centre=MIDDLE)
    np.testing.assert_array_equal(read_dark_fields(store).background, middle)
    write(store, centre=(10.0, 40.0))
    assert np.abs(read_dark_fields(store).background / middle - 1).max() > 0.01


def test_components_of_fits_show_places_that_blocks_of_the_scan_do_not(store, two_grains):
    before = write(store)
    y, x = np.mgrid[:64, :64]
    place = next(
        (v, u)
        for v in range(5, 64, 9)
        for u in range(5, 64, 9)
        if np.hypot(v - 31.5, u - 31.5) > 9
        and not any((v, u) == tuple(p) for p in np.concatenate(two_grains.places))
    )
    image = 1 + 5.0 * (np.hypot(y - place[0], x - place[1]) <= 2.5)
    # Ten components, so that they are looked at in more than one part; the last has the disc.
    patterns = np.stack([np.ones((64, 64))] * 9 + [image])
    patterns /= patterns.sum(axis=(1, 2), keepdims=True)
    write_fit(store, patterns, np.full((10, 13, 10), 3000.0))
    assert write(store, ["fits/k01"]) == before + 1
    places = read_dark_fields(store).places
    assert np.hypot(*(places - place).T).min() <= 1
    # By 30 electrons it is not surely there.
    write_fit(store, patterns, np.full((10, 13, 10), 30 / 130))
    assert write(store, ["fits/k01"]) == before


@pytest.mark.parametrize(
    ("size", "found"), [(SMALLEST_DETECTOR_PX - 1, 0), (SMALLEST_DETECTOR_PX, 1)]
)
def test_small_detectors_show_no_places(sketch_of, size, found):
    y, x = np.mgrid[: size + 6, :size]
    pattern = 50 + 200.0 * (np.hypot(y - 12, x - 11) <= 2)
    counts = np.random.default_rng(0).poisson(pattern, (4, 5, size + 6, size))
    store = sketch_of(counts, np.zeros(pattern.shape, bool))
    assert write(store, radius_px=2.0) == found
    fields = read_dark_fields(store)
    assert (fields.scan @ fields.net).shape == (20, found)
    if not found:
        assert find_grains(fields, 3, split_bent=False)[1].distinct == 0


def test_grains_are_found_again_and_are_the_same_every_time(store, two_grains):
    fields = read_dark_fields(store)
    fit, merged = find_grains(fields, 2, split_bent=False)
    np.testing.assert_array_equal(np.sort(merged.component_cluster), [0, 1])
    assert merged.component_cluster[fit.weights.sum(axis=0).argmax()] == 0
    again, _ = find_grains(read_dark_fields(store), 2, split_bent=False)
    np.testing.assert_array_equal(fit.weights, again.weights)
    bright = int(merged.component_cluster.argmin())
    share = fit.share[:, [bright, 1 - bright]].reshape(10, 13, 2)
    np.testing.assert_allclose(share, two_grains.shares, atol=0.25)
    assert np.abs(share - two_grains.shares).mean() < 0.04


def test_the_dataset_adds_up_to_the_patterns_of_the_scan(store, two_grains):
    fields = read_dark_fields(store)
    fit, _ = find_grains(fields, 2, split_bent=False)
    ds = grains_dataset(store, fields, fit)
    patterns = variables.component_pattern.read(ds).values
    weights = variables.scan_weight.read(ds).values
    assert (patterns.shape, weights.shape) == ((3, 64, 64), (10, 13, 3))
    np.testing.assert_allclose(patterns.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert min(patterns.min(), weights.min()) >= 0
    # Each has a noise of its root: the sum of 80 patterns is known to a few percent.
    for part in (np.s_[:8, :6], np.s_[:8, 7:], np.s_[8:]):
        total = np.tensordot(weights[part], patterns, axes=1).sum(axis=(0, 1))
        mean = two_grains.mean[part].sum(axis=(0, 1))
        assert np.abs(total / mean - 1).mean() < 0.05
        # The direct beam, which no fit has seen, as well.
        assert total[two_grains.beam].sum() == pytest.approx(mean[two_grains.beam].sum(), rel=0.02)
    reflections = variables.component_reflection.read(ds).values
    np.testing.assert_allclose(reflections[:2], fit.reflections, rtol=1e-6)
    np.testing.assert_array_equal(reflections[2], 0)


def test_the_last_component_is_the_background(store, two_grains):
    fields = read_dark_fields(store)
    fit, merged = find_grains(fields, 2, split_bent=False)
    ds = grains_dataset(store, fields, fit)
    patterns = variables.component_pattern.read(ds).values
    below = two_grains.mean[9, 0]
    expected = below / below.sum()
    assert np.abs(patterns[2][~two_grains.beam] / expected[~two_grains.beam] - 1).mean() < 0.05
    # Each grain is bright at its own places, in which the other has hardly anything.
    for component, own in enumerate(merged.component_cluster):
        at = [patterns[component][tuple(places.T)].mean() for places in two_grains.places]
        assert at[own] > 10 * at[1 - own]
    weights = variables.scan_weight.read(ds).values
    np.testing.assert_allclose(weights[8:, :, 2].mean(), below.sum(), rtol=0.05)


def test_masked_pixels_and_empty_positions_are_nothing(two_grains, sketch_of):
    counts = two_grains.counts.copy()
    counts[0, 0] = 0
    valid = np.ones((64, 64), bool)
    valid[30, 20] = valid[9, 44] = False
    store = sketch_of(counts, two_grains.beam, valid)
    write(store)
    fields = read_dark_fields(store)
    np.testing.assert_array_equal(fields.scan[0], 0)
    assert np.isfinite(fields.scan).all()
    fit, _ = find_grains(fields, 2, split_bent=False)
    ds = grains_dataset(store, fields, fit)
    np.testing.assert_array_equal(variables.scan_weight.read(ds).values[0, 0], 0)
    patterns = variables.component_pattern.read(ds).values
    np.testing.assert_array_equal(patterns[:, ~valid], 0)
    assert patterns[:, 31, 20].min() > 0


def test_without_grains_the_dataset_holds_the_background_alone(store):
    fields = read_dark_fields(store)
    fit, merged = find_grains(fields, 0, split_bent=False)
    ds = grains_dataset(store, fields, fit)
    assert merged.distinct == 0
    assert variables.component_pattern.read(ds).shape == (1, 64, 64)
    assert variables.component_reflection.read(ds).shape == (1, len(fields.places))
