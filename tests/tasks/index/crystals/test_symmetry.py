"""Symmetry of orientations, with reference values by orix 0.15.

The angles were made with ``Orientation(q[:3], symmetry=...).angle_with(Orientation(q[3:], ...))``,
q as below, in degrees. An orientation of orix takes the sample's frame to the crystal's: ours are
the inverse.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.symmetry import (
    as_matrices,
    as_quaternions,
    laue_class,
    laue_operations,
    laue_turns,
    misorientation_deg,
    zone_directions,
)

HERE = Path(__file__).parent
ORIX = np.array(
    [
        [0.49397787, 0.81578552, 0.15298708, -0.25898804],
        [0.76178941, 0.07356492, -0.37058418, -0.52624373],
        [0.34073916, 0.74395692, 0.12413159, -0.5612631],
        [0.37529179, -0.62662613, -0.0794562, 0.67836751],
        [0.05926736, 0.82370931, 0.44561459, 0.34556909],
        [0.66046041, -0.51237589, 0.05841162, 0.54575734],
    ]
)
# Turns of the Laue class: half its operations.
TURNS = {
    "gold": 24,
    "lnmo_ordered": 24,
    "magnesium": 12,
    "rutile": 8,
    "quartz": 6,
    "forsterite": 4,
    "monoclinic_zirconia": 2,
    "triclinic_rhenium_disulfide": 1,
}
ANGLES = {
    "gold": [5.99400779, 31.22105505, 42.36822525],
    "magnesium": [90.33409169, 86.29887027, 73.28170819],
    "quartz": [92.94934874, 86.29887027, 73.28170819],
    "rutile": [87.65280835, 86.29887027, 75.40592767],
    "forsterite": [115.65178863, 86.29887027, 96.833018],
    "triclinic_rhenium_disulfide": [118.18527259, 152.0798249, 125.84393057],
}


def turns_of(name: str) -> np.ndarray:
    return laue_turns(read_crystal(HERE / f"{name}.cif"))


def test_laue_classes_are_known_by_their_turns():
    crystals = {
        "gold": "m-3m",
        "magnesium": "6/mmm",
        "rutile": "4/mmm",
        "quartz": "-3m",
        "forsterite": "mmm",
        "monoclinic_zirconia": "2/m",
        "triclinic_rhenium_disulfide": "-1",
    }
    assert {name: laue_class(turns_of(name)) for name in crystals} == crystals
    groups = {"C4": "4/m", "C6": "6/m", "C3": "-3", "T": "m-3"}
    found = {name: laue_class(Rotation.create_group(name).as_matrix()) for name in groups}
    assert found == groups


@pytest.mark.parametrize("name", TURNS)
def test_turns_are_rotations_and_as_many_as_the_class_has(name):
    turns = turns_of(name)
    assert len(turns) == TURNS[name]
    squares = turns @ np.swapaxes(turns, 1, 2)
    np.testing.assert_allclose(squares, np.broadcast_to(np.eye(3), squares.shape), atol=1e-12)
    assert np.linalg.det(turns) == pytest.approx(np.ones(len(turns)))


@pytest.mark.parametrize("name", ANGLES)
def test_misorientations_are_those_of_orix(name):
    rotation = np.swapaxes(as_matrices(ORIX), 1, 2)
    found = misorientation_deg(rotation[:3], rotation[3:], turns_of(name))
    assert found == pytest.approx(ANGLES[name], abs=1e-4)


def test_a_turn_of_the_crystal_changes_nothing():
    turns = turns_of("magnesium")
    rotation = as_matrices(ORIX[:1])
    assert misorientation_deg(rotation @ turns, rotation, turns) == pytest.approx(
        np.zeros(12), abs=1e-5
    )


def test_quaternions_and_matrices_are_those_of_orix():
    # Rotation(q[0]).to_matrix() of orix 0.15.
    expected = [
        [0.8190403, 0.50547801, -0.27141291],
        [-0.00625943, -0.46516163, -0.88520364],
        [-0.57370184, 0.72671635, -0.37782211],
    ]
    np.testing.assert_allclose(as_matrices(ORIX[0]), expected, atol=1e-7)
    np.testing.assert_allclose(as_quaternions(as_matrices(ORIX)), ORIX, atol=1e-7)


@pytest.mark.parametrize(("name", "parts"), [("gold", 48), ("quartz", 12), ("forsterite", 8)])
def test_zone_directions_fill_their_sector_evenly(name, parts):
    turns = turns_of(name)
    directions = zone_directions(turns, 2.0)
    # The sphere has 4 pi / (2 degrees)^2 = 10,313 of them; at the rim of the sector one row more
    # or less.
    assert len(directions) == pytest.approx(10313 / parts, rel=0.03)
    rng = np.random.default_rng(1)
    anywhere = rng.standard_normal((200, 3))
    anywhere /= np.linalg.norm(anywhere, axis=1)[:, None]
    images = np.concatenate([turns, -turns])
    nearest = np.einsum("sij,nj,di->nsd", images, anywhere, directions).max(axis=(1, 2))
    # Half the diagonal of a square of 2 degrees is 1.4; at the rim of the sector a neighbour beyond
    # may be missing.
    assert np.degrees(np.arccos(nearest)).max() < 2.5


def test_laue_operations_turn_indices_into_equivalent_ones():
    crystal = read_crystal(HERE / "quartz.cif")
    images = np.array([2, 1, 3]) @ laue_operations(crystal)
    lengths = np.linalg.norm(images @ crystal.reciprocal.T, axis=1)
    assert lengths == pytest.approx(np.full(12, lengths[0]))
    # Class -3m1: hkl and khl with -l are equivalent, hkl and khl are not.
    as_set = {tuple(each) for each in images.tolist()}
    assert (1, 2, -3) in as_set
    assert (1, 2, 3) not in as_set
