from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import parse_crystal
from orimap.tasks.index.crystals.reflections import find_reflections
from orimap.tasks.simulate import crystal


def _hkl(name, q_max=1.4):
    return {tuple(hkl) for hkl in crystal.find_reflections(crystal.CRYSTALS[name], q_max).hkl}


def test_wavelength_at_200_kv():
    assert crystal.electron_wavelength_angstrom(200) == pytest.approx(0.025079, abs=1e-6)


@pytest.mark.parametrize(
    ("element", "forward"),
    # Sums of the a of Doyle & Turner (1968), doi:10.1107/S0567739468000756, another fit.
    [("Li", 3.282), ("O", 1.982), ("Si", 5.828), ("Mn", 7.493), ("Ni", 6.557), ("Au", 10.558)],
)
def test_forward_scattering_agrees_with_an_independent_table(element, forward):
    assert crystal.scattering_factor_angstrom(element, np.zeros(1))[0] == pytest.approx(
        forward, rel=3e-3
    )


def test_silicon_has_the_extinctions_of_diamond():
    found = _hkl("Si")
    assert {(1, 1, 1), (2, 2, 0), (4, 0, 0), (3, 1, 1)} <= found
    assert not {(2, 0, 0), (2, 2, 2), (1, 0, 0), (2, 1, 1), (6, 0, 0)} & found


def test_gold_has_no_mixed_indices():
    found = _hkl("Au")
    assert {(1, 1, 1), (2, 0, 0), (2, 2, 0), (2, 2, 2)} <= found
    assert all(len({index % 2 for index in hkl}) == 1 for hkl in found)


def test_spinel_has_the_extinctions_of_its_glide_planes():
    found = _hkl("LiNi0.5Mn1.5O4")
    assert {(1, 1, 1), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0), (4, 4, 0)} <= found
    assert not {(2, 0, 0), (4, 2, 0), (6, 0, 0)} & found  # 0kl: k + l = 4n


def test_spinel_cell_has_the_right_atoms_at_the_right_distances():
    spinel = crystal.CRYSTALS["LiNi0.5Mn1.5O4"]
    (_, lithium), (_, metal), (_, oxygen) = spinel.atoms()
    assert [len(lithium), len(metal), len(oxygen)] == [8, 16, 32]

    def neighbours(centre):
        step = (oxygen - centre + 0.5) % 1 - 0.5
        return np.sort(np.linalg.norm(step, axis=1)) * spinel.lattice_angstrom

    for centre in lithium:  # four oxygens around lithium, six around the metal
        assert neighbours(centre)[:4] == pytest.approx(1.953, abs=0.002)
        assert neighbours(centre)[4] > 2.5
    for centre in metal:
        assert neighbours(centre)[:6] == pytest.approx(1.943, abs=0.002)
        assert neighbours(centre)[6] > 2.5


def test_reciprocal_lengths_are_inverse_plane_distances():
    found = crystal.find_reflections(crystal.CRYSTALS["Si"], 1.0)
    which = np.flatnonzero((found.hkl == (2, 2, 0)).all(axis=1))[0]
    assert np.linalg.norm(found.g[which]) == pytest.approx(np.sqrt(8) / 5.431)


def test_friedel_pairs_are_equally_strong():
    found = crystal.find_reflections(crystal.CRYSTALS["LiNi0.5Mn1.5O4"], 1.0)
    strength = {
        tuple(hkl): abs(f) for hkl, f in zip(found.hkl, found.structure_factor, strict=True)
    }
    for hkl, value in strength.items():
        assert strength[tuple(-i for i in hkl)] == pytest.approx(value)


def test_excitation_error_follows_the_ewald_sphere():
    g = np.array([[1.0, 0, 0], [0, 0, 0.01]])
    # In the zero-order plane the sphere is lambda g^2 / 2 below; a point above it is that much off.
    assert crystal.excitation_error(g, 200) == pytest.approx([-0.02508 / 2, -0.01], abs=1e-5)


def test_relrod_is_one_on_the_sphere_and_ends_at_its_reach():
    found = crystal.relrod(np.array([0, 0.01, -0.01, 0.02, 0.5]), 0.02)
    assert found == pytest.approx([1, 0.5, 0.5, 0, 0])


def test_disorientation_knows_the_symmetry_of_the_cube():
    rotation = crystal.random_rotation(np.random.default_rng(1))
    for turn in crystal.cubic_rotations():
        assert crystal.disorientation_deg(rotation, rotation @ turn) == pytest.approx(0, abs=1e-5)
    small = np.radians(10)
    tilt = np.array(
        [[np.cos(small), -np.sin(small), 0], [np.sin(small), np.cos(small), 0], [0, 0, 1]]
    )
    assert crystal.disorientation_deg(rotation, tilt @ rotation) == pytest.approx(10)


def test_random_rotations_are_proper_and_cover_the_sphere_evenly():
    rng = np.random.default_rng(0)
    rotations = np.array([crystal.random_rotation(rng) for _ in range(4000)])
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (4000, 1, 1)), atol=1e-12
    )
    assert np.allclose(np.linalg.det(rotations), 1)
    # Every matrix element is a coordinate of a uniform point on the sphere: variance 1/3.
    assert rotations.var(axis=0) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.02)


@pytest.mark.parametrize("name", ["LNMO", "Si", "Au"])
def test_the_cif_of_a_crystal_has_its_reflections(name):
    simulated = crystal.find_reflections(crystal.find_crystal(name), 1.0)
    found = find_reflections(parse_crystal(crystal.find_crystal(name).cif().encode(), Path()), 1.0)
    assert found.hkl.tolist() == simulated.hkl.tolist()
    np.testing.assert_allclose(found.strength, abs(simulated.structure_factor) ** 2, rtol=1e-6)


def test_unknown_material_is_reported():
    with pytest.raises(InputError, match="Si, Au"):
        crystal.find_crystal("Pb")
