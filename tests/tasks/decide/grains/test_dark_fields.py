from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.decide.grains import dark_fields as module
from orimap.tasks.decide.grains.dark_fields import BACKGROUND_ERROR, DarkFields, dark_fields

SIZE, RADIUS = 64, 3.0
Y, X = np.mgrid[:SIZE, :SIZE]
CENTRE = (31.0, 33.0)
DISTANCE = np.hypot(Y - CENTRE[0], X - CENTRE[1])
BEAM = DISTANCE < 5
# An inelastic background, brighter to one side.
SMOOTH = (500 * np.exp(-DISTANCE / 12) + 20) * (1 + 0.2 * (X - CENTRE[1]) / 32)
# Of radius 3, the inner .8 * 3 + .3 = 2.7 px count: 21 pixels.
PIXELS = 21
PLACES = np.array([[10, 50], [31, 14], [50, 20], [52, 44]])


def disc(y, x):
    return (np.hypot(Y - y, X - x) <= RADIUS).astype(float)


def of(patterns, places=PLACES, left_out=BEAM, scan=None, **options):
    """Dark fields of patterns, by themselves or as ``scan`` of them."""
    patterns = np.asarray(patterns, float)
    scan = np.eye(len(patterns)) if scan is None else scan
    shape = (1, len(scan))
    return dark_fields(
        scan, patterns, places, left_out, CENTRE, radius_px=RADIUS, scan_shape=shape, **options
    )


def net(fields):
    return fields.scan @ fields.net


def mixed(count=12):
    """Patterns with discs of random height on more or less background."""
    rng = np.random.default_rng(0)
    images = np.stack([disc(*place) for place in PLACES])
    heights = rng.uniform(0, 40, (count, len(PLACES)))
    return np.tensordot(heights, images, axes=1) + rng.uniform(0.5, 2, (count, 1, 1)) * SMOOTH


def test_a_disc_has_its_sum_and_a_smooth_background_nothing():
    heights = np.array([[30.0, 0, 7, 0], [0, 12, 0, 90]])
    patterns = SMOOTH + np.tensordot(heights, [disc(*place) for place in PLACES], axes=1)
    fields = of(patterns)
    np.testing.assert_allclose(net(fields), PIXELS * heights, atol=0.01 * PIXELS * SMOOTH.min())
    below = [PIXELS * SMOOTH[tuple(place)] for place in PLACES]
    np.testing.assert_allclose(fields.scan @ fields.whole - net(fields), [below] * 2, rtol=0.02)
    np.testing.assert_allclose(fields.background_weights, SMOOTH[~BEAM].sum(), rtol=0.02)


def test_dark_fields_of_low_rank_are_those_of_the_plain_patterns():
    rng = np.random.default_rng(1)
    images, scan = mixed(3), rng.uniform(0, 1, (40, 3))
    scan[0] = 0, -1, 2
    low, plain = of(images, scan=scan), of(np.tensordot(scan, images, axes=1))
    for name in ("net", "whole", "background"):
        found, expected = scan @ getattr(low, name), getattr(plain, name)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def ring_mean(image, free, place):
    distance = np.hypot(*(np.indices(image.shape) - np.reshape(place, (2, 1, 1))))
    ring = free & (distance >= RADIUS + 1.5) & (distance <= 2.5 * RADIUS + 2.5)
    return image[ring].mean()


def test_dark_fields_are_those_of_a_plain_fit_of_the_background():
    patterns = np.random.default_rng(2).poisson(mixed(3)).astype(float)
    apart = np.min([np.hypot(Y - y, X - x) for y, x in PLACES], axis=0)
    free = (apart > RADIUS + 1.5) & ~BEAM
    knots, functions = [0.0], []
    while knots[-1] < DISTANCE.max():
        knots.append(knots[-1] + max(2.0, 0.15 * knots[-1]))
    angle = np.arctan2(Y - CENTRE[0], X - CENTRE[1])
    for knot in knots[:-1]:
        bell = np.exp(-0.5 * ((DISTANCE - knot) / max(2.0, 0.15 * knot)) ** 2)
        functions += [bell, bell * np.sin(angle), bell * np.cos(angle)]
    table = np.stack(functions, axis=-1)
    weight = 1 / np.sqrt(patterns.mean(axis=0)[free])
    for pattern, found in zip(patterns, net(of(patterns)), strict=True):
        factors = np.linalg.lstsq(table[free] * weight[:, None], pattern[free] * weight, rcond=None)
        above = pattern - table @ factors[0]
        expected = [
            np.sum(above[np.hypot(Y - y, X - x) <= 2.7]) - PIXELS * ring_mean(above, free, (y, x))
            for y, x in PLACES
        ]
        # Functions that hardly differ are kept apart by a little more than nothing.
        np.testing.assert_allclose(found, expected, atol=1.8)


def test_a_bright_reflection_leaves_the_dark_field_of_its_neighbour_alone():
    places = np.array([[31, 14], [38, 14]])
    dim = SMOOTH + 10 * disc(31, 14)
    found = net(of([dim, dim + 1000 * disc(38, 14)], places))
    np.testing.assert_allclose(found[:, 0], 10 * PIXELS, rtol=0.05)


def test_what_lies_in_pixels_left_out_changes_nothing():
    left_out = BEAM | (disc(20, 20) > 0)
    patterns = mixed()
    odd = np.where(left_out, 50.0 * np.arange(len(patterns))[:, None, None], patterns)
    found, expected = of(odd, left_out=left_out), of(patterns, left_out=left_out)
    np.testing.assert_allclose(found.net, expected.net, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(found.background, expected.background, rtol=1e-6)


def test_around_a_disc_the_rest_that_no_smooth_function_fits_is_taken_away():
    patch = 25.0 * (np.hypot(Y - 50, X - 20) < 12)
    found = net(of([SMOOTH + patch, SMOOTH + patch + 30 * disc(50, 20)]))[:, 2]
    assert abs(found[0]) < 0.1 * 25 * PIXELS
    assert found[1] - found[0] == pytest.approx(30 * PIXELS)


def test_few_free_pixels_around_a_disc_say_nothing_of_what_lies_below():
    patch = 25.0 * (np.hypot(Y - 50, X - 20) < 12)
    crowd = [(v, u) for v in range(35, 64, 5) for u in range(5, 36, 5) if (v, u) != (55, 25)]
    free = np.min([np.hypot(Y - v, X - u) for v, u in crowd], axis=0) > RADIUS + 1.5
    near = np.hypot(Y - 50, X - 20) <= 10
    assert np.argwhere(free & near).tolist() == [[55, 25]]
    plain, odd = net(of([SMOOTH + patch, SMOOTH + patch + 500 * (free & near)], np.array(crowd)))
    at = crowd.index((50, 20))
    assert plain[at] > 0.5 * 25 * PIXELS
    assert abs(odd[at] - plain[at]) < 0.1 * 500 * PIXELS


def test_a_disc_at_the_edge_counts_as_far_as_it_is_seen():
    place = np.array([[0, 20]])
    pattern = SMOOTH + 40 * disc(0, 20)
    seen = np.sum(np.hypot(Y, X - 20) <= 2.7)
    assert seen == 13
    assert net(of([pattern], place))[0, 0] == pytest.approx(40 * seen, rel=0.05)


@pytest.mark.parametrize("at_once", [1, 5, 100])
def test_images_are_looked_at_in_any_number_at_once(monkeypatch, at_once):
    expected = of(mixed())
    monkeypatch.setattr(module, "IMAGES_AT_ONCE", at_once)
    found = of(mixed())
    for name in ("net", "whole", "background"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9)


def test_without_places_there_is_background_alone():
    fields = of([SMOOTH, 2 * SMOOTH], np.zeros((0, 2), int), dispersion=3.0)
    assert (fields.net.shape, fields.whole.shape) == ((2, 0), (2, 0))
    np.testing.assert_allclose(
        fields.background_weights, SMOOTH[~BEAM].sum() * np.array([1, 2]), rtol=0.02
    )
    assert (fields.scan_shape, fields.dispersion) == ((1, 2), 3.0)


def by_hand():
    """At one place 100 electrons over 400, or 50 over 300; at the other none."""
    return DarkFields(
        np.array([[1.0, 0], [0, 2]]),
        np.array([[100.0, 0], [25, 0]]),
        np.array([[500.0, 0], [175, 0]]),
        np.array([7.0, -1]),
        np.array([[3, 4], [5, 6]]),
        (2, 1),
    )


def test_noise_is_that_of_all_electrons_of_a_disc_and_of_an_uncertain_background():
    shares = np.array([[1.0, 0.5], [0, 1]])
    expected = np.array([500 + (BACKGROUND_ERROR * 400) ** 2, 600 + (BACKGROUND_ERROR * 500) ** 2])
    noise = by_hand().noise(shares)
    np.testing.assert_allclose(noise[:, 0], expected)
    # Where nothing was counted, one electron might have been.
    np.testing.assert_allclose(noise[:, 1], 1, rtol=1e-3)
    averaged = replace(by_hand(), dispersion=0.25).noise(shares)
    np.testing.assert_allclose(averaged[:, 0], [125 + 4.0**2, 150 + 5.0**2])


def test_the_pedestal_of_read_out_is_noise_but_no_uncertain_background():
    shares = np.array([[1.0, 0.5], [0, 1]])
    # 30 a pixel of a disc of ten: 300 of the 400 below the first component, 450 of 500.
    known = replace(by_hand(), pedestal=30.0, disc_pixels=10.0).noise(shares)
    expected = [500 + (BACKGROUND_ERROR * 100) ** 2, 600 + (BACKGROUND_ERROR * 50) ** 2]
    np.testing.assert_allclose(known[:, 0], expected)


def test_the_background_is_never_less_than_nothing():
    np.testing.assert_array_equal(by_hand().background_weights, [7, 0])
