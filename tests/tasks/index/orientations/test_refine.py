"""Refinement finds what is a degree off, and misfits are counted as they should be."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.index.crystals.reflections import find_reflections
from orimap.tasks.index.orientations.compare import cosine, factor, misfits
from orimap.tasks.index.orientations.refine import _BY_STEP, Candidates, Refinement
from orimap.tasks.index.orientations.rocking import Rocking

# Near to what the patterns of these tests are drawn with.
CURVE = Rocking(width=0.008, edge=0.02, saturation=0.01, power=1.0)


def refinement_of(made) -> Refinement:
    measured = made.patterns.measure()
    return Refinement(measured, find_reflections(made.crystal, 1.8), made.patterns.camera)


@pytest.mark.parametrize("name", ["lnmo_disordered", "forsterite"])
def test_a_degree_off_in_any_direction_is_refined_to_a_tenth(known, name):
    made = known(name, 3)
    refinement = refinement_of(made)
    turns = np.radians(1.0) * np.concatenate([np.eye(3), -np.eye(3)])
    off = Rotation.from_rotvec(turns).as_matrix()
    pattern = np.repeat(np.arange(3), 6)
    start = np.einsum("dij,njk->ndik", off, made.rotation).reshape(-1, 3, 3)
    found = refinement.run(Candidates.of(pattern, start), CURVE, 8, widen=2.0)
    between = np.swapaxes(found.rotation, 1, 2) @ made.rotation[pattern]
    error = np.degrees(Rotation.from_matrix(between).magnitude())
    assert np.median(error) < 0.1
    assert (error < 0.3).mean() > 0.9
    assert found.score.min() > 0.9


def test_the_true_orientation_explains_more_than_others(known):
    made = known("lnmo_disordered", 1)
    refinement = refinement_of(made)
    off = Rotation.from_rotvec(np.radians([[0, 0, 0], [2, 0, 0], [0, 0, 3]])).as_matrix()
    candidates = Candidates.of(np.zeros(3, int), off @ made.rotation[0])
    compared = refinement.compare(candidates, CURVE, *refinement.choose(candidates, CURVE.reach))
    score = cosine(compared)
    assert score.argmax() == 0
    assert score[0] > 0.95
    spots, others = misfits(compared)
    cost = spots.sum(axis=1) + others.sum(axis=1)
    assert cost[0] < 0.3 * cost[1:].min()


def test_one_strong_reflection_that_is_missing_does_not_change_the_factor(known):
    made = known("lnmo_disordered", 1)
    refinement = refinement_of(made)
    candidates = Candidates.of(np.zeros(1, int), made.rotation)
    compared = refinement.compare(candidates, CURVE, *refinement.choose(candidates, CURVE.reach))
    before = factor(compared)
    missing = compared.spot_measured.copy()
    missing[:, 0] = 0
    after = factor(replace(compared, spot_measured=missing))
    # By plain least squares it would fall by that reflection's share of all squares.
    share = compared.spot_predicted[0, 0] ** 2 / (compared.spot_predicted**2).sum()
    assert 1 - after / before < 0.6 * share


def test_what_lies_behind_the_mask_is_not_compared(known):
    made = known("lnmo_disordered", 1)
    valid = made.patterns.valid.copy()
    valid[:60] = False  # upper half
    half = replace(made, patterns=replace(made.patterns, valid=valid))
    refinement = refinement_of(half)
    candidates = Candidates.of(np.zeros(1, int), made.rotation)
    compared = refinement.compare(candidates, CURVE, *refinement.choose(candidates, CURVE.reach))
    assert cosine(compared)[0] > 0.95


def test_candidates_are_refined_alike_whatever_pieces_they_come_in(known, monkeypatch):
    made = known("lnmo_disordered", 3)
    refinement = refinement_of(made)
    turns = np.radians(0.8) * np.concatenate([np.eye(3), -np.eye(3)])
    start = np.einsum("dij,njk->ndik", Rotation.from_rotvec(turns).as_matrix(), made.rotation)
    candidates = Candidates.of(np.repeat(np.arange(3), 6), start.reshape(-1, 3, 3))
    whole = refinement.run(candidates, CURVE, 5, widen=2.0)
    monkeypatch.setattr("orimap.tasks.index.orientations.refine.PIECE", 4)
    pieces = refinement.run(candidates, CURVE, 5, widen=2.0)
    np.testing.assert_array_equal(pieces.pattern, whole.pattern)
    np.testing.assert_allclose(pieces.rotation, whole.rotation, atol=1e-8)
    np.testing.assert_allclose(pieces.score, whole.score, atol=1e-8)


def test_a_step_takes_places_where_they_belong(known):
    # The slopes of places by turn and shift, from differences of the predicted places.
    made = known("lnmo_disordered", 1)
    refinement = refinement_of(made)
    candidates = Candidates.of(np.zeros(1, int), made.rotation)
    chosen = refinement.choose(candidates, CURVE.reach)

    def away(turn, shift):
        turned = Rotation.from_rotvec(turn).as_matrix() @ made.rotation
        moved = replace(Candidates.of(np.zeros(1, int), turned), shift=np.array([shift]))
        compared = refinement.compare(moved, CURVE, *chosen)
        return compared.away[0], compared.weight[0] > 0

    (base, there), compared = away([0, 0, 0], [0.0, 0]), refinement.compare(
        candidates, CURVE, *chosen
    )  # fmt: skip
    small, place = 1e-4, compared.place[0][there]
    known_place = np.concatenate([place, np.ones((len(place), 1))], axis=1)
    for parameter in (0, 1, 2, 4, 5):
        turn, shift = np.zeros(3), np.zeros(2)
        if parameter < 3:
            turn[parameter] = small
        else:
            shift[parameter - 4] = small
        moved, _ = away(turn, shift)
        slope = -(moved - base)[there] / small
        expected = np.stack([known_place @ by[parameter] for by in _BY_STEP], axis=1)
        np.testing.assert_allclose(slope, expected, atol=0.05 + 0.01 * np.abs(expected).max())
