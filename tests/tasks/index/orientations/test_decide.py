"""Reliability by hand: costs of three candidates over four reflections."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.index.crystals.symmetry import laue_turns, misorientation_deg
from orimap.tasks.index.orientations.decide import RELIABLE, Costs, decide_orientations
from orimap.tasks.index.orientations.fit_scan import fit_scan
from orimap.tasks.index.orientations.refine import Candidates

COSTS = Costs(
    spots=np.array([[0.0, 0.1, 0.2, 0.1], [0.1, 0.2, 3.0, 0.1], [2.0, 2.0, 2.0, 0.0]]),
    others=np.array([0.2, 0.2, 1.0]),
    largest_other=np.array([0.1, 0.1, 0.5]),
    nothing=np.array([4.0, 4.0, 4.0]),
    bright=np.array([4, 3, 1]),
)


def test_explained_is_one_less_the_share_of_the_cost():
    # 0.6, 3.6 and 7 of 4.
    assert COSTS.explained == pytest.approx([0.85, 0.1, -0.75])


def test_a_lead_leaves_out_what_a_single_reflection_says():
    # Over the second: (0.1 + 0.1 + 2.8 + 0 + 0) - 2.8 = 0.2 of 4 - 0.6.
    assert COSTS.lead(0, np.array([1])) == pytest.approx(0.2 / 3.4)
    # Over the third: (2 + 1.9 + 1.8 - 0.1 + 0.8) - 2.
    assert COSTS.lead(0, np.array([2])) == pytest.approx(1)
    assert COSTS.lead(0, np.array([1, 2])) == pytest.approx(0.2 / 3.4)
    assert COSTS.lead(0, np.array([], int)) == 1


def test_few_reflections_are_never_reliable_and_keep_a_second_candidate(known):
    made = known("gold", 4)
    measured = made.patterns.measure()
    few = replace(measured, y=measured.y[:, :3], x=measured.x[:, :3], height=measured.height[:, :3],
                  error=measured.error[:, :3])  # fmt: skip
    scan = fit_scan(few, [made.crystal], made.patterns.camera, fit_camera=False)
    indexed = decide_orientations(few, scan)
    assert (indexed.reliability < RELIABLE).all()
    assert not indexed.indexed.any()
    assert np.isfinite(indexed.other_quaternion).all()
    assert np.linalg.norm(indexed.other_quaternion, axis=1) == pytest.approx(np.ones(4))


def test_the_frame_can_be_turned_about_the_beam(known):
    made = known("lnmo_disordered", 2)
    measured = made.patterns.measure()
    scan = fit_scan(measured, [made.crystal], made.patterns.camera, fit_camera=False)
    indexed = decide_orientations(measured, scan)
    quarter = indexed.turned(90)
    x = indexed.rotation[:, 0]
    np.testing.assert_allclose(quarter.rotation[:, 1], x, atol=1e-12)
    np.testing.assert_allclose(quarter.rotation[:, 2], indexed.rotation[:, 2], atol=1e-12)


def test_a_candidate_that_rests_beside_its_place_finds_it_from_tilts_around(known):
    made = known("lnmo_disordered", 2)
    measured = made.patterns.measure()
    scan = fit_scan(measured, [made.crystal], made.patterns.camera, fit_camera=False)
    beside = Rotation.from_rotvec(np.radians([2.2, 0, 0])).as_matrix() @ made.rotation
    off = replace(scan, candidates=[Candidates.of(np.arange(2), beside)])
    off.candidates[0].score[:] = 0.5
    indexed = decide_orientations(measured, off)
    error = misorientation_deg(indexed.rotation, made.rotation, laue_turns(made.crystal))
    assert error.max() < 0.2
