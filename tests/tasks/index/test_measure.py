"""Measured reflections lie where they were drawn, and what is masked is not seen."""

from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.index.measure import measure_patterns


def test_bright_reflections_are_found_within_a_tenth_of_a_pixel(known):
    made = known("silicon", 3)
    measured = made.patterns.measure()
    assert measured.centre == pytest.approx(np.tile(made.patterns.centre, (3, 1)), abs=0.1)
    reflections = made.crystal.reciprocal
    for number, rotation in enumerate(made.rotation):
        # Each found position is one of the lattice, in units of its reciprocal edges.
        bright = measured.height[number] > 0.1 * np.nanmax(measured.height[number])
        hkl = np.mgrid[-7:8, -7:8, -7:8].reshape(3, -1).T
        g = hkl @ reflections.T @ rotation.T
        g = g[np.abs(g[:, 2]) < 0.05] / made.patterns.camera.step
        found = np.stack([measured.x[number], measured.y[number]], 1)[bright]
        away = np.linalg.norm(found[:, None] - g[:, :2], axis=2).min(axis=1)
        assert np.median(away) < 0.1


def test_what_is_masked_is_not_seen(known):
    made = known("silicon", 1)
    valid = made.patterns.valid.copy()
    valid[:, 80:95] = False
    measured = replace(made.patterns, valid=valid).measure()
    assert not measured.seen[:, 80:95].any()
    assert measured.seen[:, :70].mean() > 0.9
    assert not ((measured.x + measured.centre[:, 1:] > 80) & (measured.x < 95 - 55.8)).any()


def test_many_positions_show_fainter_reflections(known):
    made = known("silicon", 2)
    few = replace(made.patterns, positions=np.array([1, 1])).measure()
    many = made.patterns.measure()
    assert (many.counts > few.counts).all()
    assert np.nanmax(few.height) == pytest.approx(np.nanmax(many.height), rel=0.02)


def test_a_flipped_detector_is_a_mirror_image(known):
    measured = known("silicon", 2).patterns.measure()
    flipped = measured.flipped()
    np.testing.assert_array_equal(flipped.y, -measured.y)
    assert flipped.centre[0, 0] == pytest.approx(120 - measured.centre[0, 0])
    np.testing.assert_array_equal(flipped.rest[:, 0], measured.rest[:, -1])


def test_patterns_of_another_detector_are_refused(known):
    made = known("silicon", 1).patterns
    with pytest.raises(InputError, match="shape"):
        measure_patterns(
            made.images[:, :50], made.positions, made.valid, made.centre,
            disc_radius=2.0, beam_radius=2.0, counts=True,
        )  # fmt: skip
