"""Candidates from templates: known zone axes, mirror images, all crystal systems."""

from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.reflections import find_reflections
from orimap.tasks.index.crystals.symmetry import laue_turns, misorientation_deg, zone_directions
from orimap.tasks.index.orientations.match import (
    about_beam,
    correlate,
    distinct,
    find_candidates,
    pattern_harmonics,
)
from orimap.tasks.index.orientations.templates import make_templates, rotations_of

HERE = Path(__file__).parents[1] / "crystals"
WAVELENGTH, Q_MAX = 0.02508, 1.4


def test_the_zone_axis_001_of_silicon_shows_220_four_times():
    crystal = read_crystal(HERE / "silicon.cif")
    reflections = find_reflections(crystal, Q_MAX)
    templates = make_templates(reflections, np.array([[0, 0, 1.0]]), WAVELENGTH, Q_MAX, 1.0)
    # Energy by ring: 220 at .521 1/Å is the innermost, in rings 14 and 15 of .035 1/Å.
    energy = (np.abs(templates.harmonics[0]) ** 2).sum(axis=1)
    assert energy[:14].max() < 1e-6 < energy[14:16].min()
    # Fourfold: no harmonic but every fourth.
    folds = np.abs(templates.harmonics[0, 14])
    assert folds[[1, 2, 3, 5, 6, 7]].max() < 1e-3 * folds[0]
    assert folds[4] > 0.5 * folds[0]


def test_rotations_take_directions_to_the_beam():
    directions = zone_directions(np.eye(3)[None], 20)
    rotation = rotations_of(directions)
    np.testing.assert_allclose(
        np.einsum("nij,nj->ni", rotation, directions), np.tile([0, 0, 1.0], (len(directions), 1)),
        atol=1e-12,
    )  # fmt: skip
    assert np.linalg.det(rotation) == pytest.approx(np.ones(len(rotation)))


def test_a_template_agrees_with_itself_and_its_mirror_image_with_the_opposite_direction():
    reflections = find_reflections(read_crystal(HERE / "quartz.cif"), Q_MAX)
    direction = np.array([[0.36, 0.48, 0.8]])
    one = make_templates(reflections, direction, WAVELENGTH, Q_MAX, 1.0)
    opposite = make_templates(reflections, -direction, WAVELENGTH, Q_MAX, 1.0)
    plain, mirrored = correlate(one.harmonics, one)[0, :, 0]
    assert plain.argmax() == 0
    assert plain.max() > 1.5 * mirrored.max()
    plain, mirrored = correlate(opposite.harmonics, one)[0, :, 0]
    assert mirrored.max() > 1.5 * plain.max()


@pytest.mark.parametrize("name", ["lnmo_disordered", "rutile", "quartz", "magnesium"])
def test_the_true_orientation_is_among_the_candidates(known, name):
    made = known(name)
    measured = made.patterns.measure()
    turns = laue_turns(made.crystal)
    templates = make_templates(
        find_reflections(made.crystal, 1.8), zone_directions(turns), WAVELENGTH, 1.8, 0.6
    )
    spectra = pattern_harmonics(measured, made.patterns.camera.step, 1.8)
    found = find_candidates(spectra, templates, turns, np.array([20, 20, 20]))
    for number, rotation in enumerate(made.rotation):
        own = found.rotation[found.pattern == number]
        assert len(own) <= 40
        # The grid has a direction within 1.4 degrees, turned in steps of 2.
        assert misorientation_deg(own, rotation, turns).min() < 3


def test_distinct_keeps_the_first_of_like_ones():
    rotation = about_beam(np.radians([0.0, 1.0, 10.0, 91.0]))
    gold = laue_turns(read_crystal(HERE / "gold.cif"))
    assert distinct(rotation, np.eye(3)[None], 3.0, 9).tolist() == [0, 2, 3]
    assert distinct(rotation, gold, 3.0, 9).tolist() == [0, 2]
    assert distinct(rotation, gold, 3.0, 1).tolist() == [0]
