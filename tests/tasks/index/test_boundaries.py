from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.index.boundaries import away_from_sigma3, find_boundaries, smallest_turn
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.symmetry import laue_turns

CRYSTALS = Path(__file__).parent / "crystals"
# Cluster 0 touches 1 along three pairs of positions and 2 along two; 1 touches 2 once.
LABELS = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [2, 2, -1, 0, 1]])


def turned(axis, angle_deg):
    unit = np.array(axis, float) / np.linalg.norm(axis)
    return Rotation.from_rotvec(np.radians(angle_deg) * unit).as_matrix()


def test_a_twin_is_known_whatever_the_orientation_and_the_equivalent():
    gold = read_crystal(CRYSTALS / "gold.cif")
    turns = laue_turns(gold)
    first = turned([1, 2, 3], 37)
    second = first @ turns[7] @ turned([1, -1, 1], 60.5) @ turns[11]
    found = find_boundaries(LABELS, np.array([first, second, first]), np.zeros(3, int), [gold])
    np.testing.assert_array_equal(found.cluster, [[0, 1], [0, 2]])
    np.testing.assert_array_equal(found.length, [4, 2])
    # A turn by 60.5 degrees about a threefold axis is one by 59.5 the other way round.
    assert found.angle == pytest.approx([59.5, 0], abs=1e-3)
    assert np.abs(found.axis[0]) == pytest.approx([1, 1, 1], abs=0.05)
    assert found.from_sigma3[0] == pytest.approx(0.5, abs=1e-6)
    assert found.from_sigma3[1] == pytest.approx(60, abs=1e-3)


def test_what_is_not_indexed_or_of_another_crystal_has_no_angle():
    gold = read_crystal(CRYSTALS / "gold.cif")
    quartz = read_crystal(CRYSTALS / "quartz.cif")
    rotation = np.array([np.eye(3), turned([1, 0, 0], 20), np.full((3, 3), np.nan)])
    found = find_boundaries(LABELS, rotation, np.array([0, 1, 0]), [gold, quartz])
    assert np.isnan(found.angle).all()
    assert np.isnan(found.axis).all()
    found = find_boundaries(LABELS, rotation, np.array([1, 1, -1]), [gold, quartz])
    assert found.angle[0] == pytest.approx(20)
    # Along a of a hexagonal cell.
    assert found.axis[0] == pytest.approx([1, 0, 0], abs=1e-9)
    assert np.isnan(found.from_sigma3).all()


def test_the_smallest_turn_is_that_of_one_equivalent():
    turns = laue_turns(read_crystal(CRYSTALS / "gold.cif"))
    angle, axis = smallest_turn(turned([0, 0, 1], 80), turns)
    assert angle == pytest.approx(10)
    assert np.abs(axis) == pytest.approx([0, 0, 1], abs=1e-9)
    assert away_from_sigma3(turned([0, 0, 1], 0), turns) == pytest.approx(60)
