"""Whole ways: patterns of known orientations in seven crystal systems, scales, phases, faults."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.symmetry import laue_turns, misorientation_deg
from orimap.tasks.index.index_results import Setup, index_patterns
from orimap.tasks.index.orientations.decide import RELIABLE

HERE = Path(__file__).parent / "crystals"


@pytest.mark.parametrize(
    "name",
    [
        "lnmo_disordered",  # cubic
        "magnesium",  # hexagonal
        "quartz",  # trigonal
        "rutile",  # tetragonal
        "forsterite",  # orthorhombic
        "monoclinic_zirconia",
        "triclinic_rhenium_disulfide",
    ],
)
def test_orientations_of_every_crystal_system_are_found_within_a_fifth_of_a_degree(known, name):
    made = known(name, 4)
    indexed, scan, _ = index_patterns(made.patterns, [made.crystal])
    error = misorientation_deg(indexed.rotation, made.rotation, laue_turns(made.crystal))
    assert np.median(error) < 0.2
    assert (error[indexed.indexed] < 1).all()
    assert indexed.indexed.any()
    assert (indexed.phase == 0).all()
    assert scan.factor == pytest.approx(1, abs=0.002)
    assert np.linalg.norm(indexed.quaternion, axis=1) == pytest.approx(np.ones(4))


@pytest.mark.parametrize("factor", [0.96, 1.04])
def test_a_calibration_that_is_off_by_4_percent_is_recovered(known, factor):
    made = known("lnmo_disordered", 3)
    camera = replace(made.patterns.camera, step=made.patterns.camera.step * factor)
    _, scan, _ = index_patterns(replace(made.patterns, camera=camera), [made.crystal])
    assert scan.factor * factor == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(("factor", "words"), [(0.9, "11 % more"), (1.12, "11 % less")])
def test_a_calibration_further_off_is_refused_with_the_step_that_fits(known, factor, words):
    made = known("lnmo_disordered", 3)
    camera = replace(made.patterns.camera, step=made.patterns.camera.step * factor)
    with pytest.raises(InputError, match=words) as caught:
        index_patterns(replace(made.patterns, camera=camera), [made.crystal])
    step = float(caught.value.remedy.rpartition(" ")[2].removesuffix("/Å"))
    assert step == pytest.approx(made.patterns.camera.step, rel=0.002)


def test_order_is_told_by_its_superlattice_reflections(known):
    files = [read_crystal(HERE / f"lnmo_{each}.cif") for each in ("disordered", "ordered")]
    for number, name in enumerate(("lnmo_disordered", "lnmo_ordered")):
        indexed, _, _ = index_patterns(known(name, 3).patterns, files)
        assert (indexed.phase == number).all()
        assert (indexed.margin > 0).all()


def test_another_crystal_explains_nothing(known):
    made = known("forsterite", 3)
    indexed, _, _ = index_patterns(
        made.patterns, [read_crystal(HERE / "gold.cif")], Setup(fit_camera=False)
    )
    assert (indexed.phase == -1).all()
    assert np.isnan(indexed.quaternion).all()
    assert not indexed.indexed.any()


def test_the_detector_turned_or_flipped_turns_the_sample(known):
    made = known("quartz", 2)
    turns = laue_turns(made.crystal)
    plain, _, _ = index_patterns(made.patterns, [made.crystal])
    turned, _, _ = index_patterns(made.patterns, [made.crystal], Setup(rotation_deg=30))
    between = turned.rotation @ np.swapaxes(plain.rotation, 1, 2)
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    expected = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    np.testing.assert_allclose(between, np.tile(expected, (2, 1, 1)), atol=1e-6)
    rows = made.patterns.images[:, ::-1]
    centre = [120 - made.patterns.centre[0], made.patterns.centre[1]]
    mirrored = replace(made.patterns, images=rows, centre=np.array(centre))
    flipped, _, _ = index_patterns(mirrored, [made.crystal], Setup(flip=True))
    assert misorientation_deg(flipped.rotation, plain.rotation, turns).max() < 0.3


def test_a_second_pattern_of_another_orientation_makes_a_cluster_doubtful(known):
    made = known("lnmo_disordered", 3)
    same, _, _ = index_patterns(made.patterns, [made.crystal], others=made.patterns)
    assert (same.reliability >= RELIABLE).all()
    others = replace(made.patterns, images=np.roll(made.patterns.images, 1, axis=0))
    different, _, _ = index_patterns(made.patterns, [made.crystal], others=others)
    assert (different.reliability < same.reliability).all()
    turns = laue_turns(made.crystal)
    candidates = np.stack([different.rotation, different.other_rotation], 1)
    error = misorientation_deg(candidates, made.rotation[:, None], turns)
    assert (error.min(axis=1) < 0.5).all()


def test_patterns_without_reflections_and_no_crystal_are_refused(known):
    made = known("gold", 2)
    empty = replace(made.patterns, images=np.zeros_like(made.patterns.images))
    with pytest.raises(InputError, match="reflections"):
        index_patterns(empty, [made.crystal])
    with pytest.raises(InputError, match="crystal"):
        index_patterns(made.patterns, [])
