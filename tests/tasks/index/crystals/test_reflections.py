"""Reflections against values worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.reflections import find_reflections, structure_strength
from orimap.tasks.simulate.crystal import find_crystal
from orimap.tasks.simulate.crystal import find_reflections as find_simulated

HERE = Path(__file__).parent


def strengths(name: str, q_max: float = 1.3) -> dict[tuple[int, int, int], float]:
    found = find_reflections(read_crystal(HERE / f"{name}.cif"), q_max)
    return {tuple(h): s for h, s in zip(found.hkl.tolist(), found.strength.tolist(), strict=True)}


def test_structure_factors_of_silicon_follow_from_its_atoms():
    # f(s) = sum a exp(-b s^2) with the five Gaussians of Peng et al. (1996); |F|^2 is 32 f^2 for
    # odd indices and 64 f^2 where h + k + l = 4n, each with exp(-2 B s^2), B = 0.5 Å^2.
    a = np.array([0.2519, 0.6372, 1.3795, 2.5082, 1.0500])
    b = np.array([0.3075, 2.0174, 9.6746, 29.3744, 80.4732])
    found = strengths("silicon")
    for hkl, factor in (((1, 1, 1), 32), ((2, 2, 0), 64), ((3, 1, 1), 32), ((4, 0, 0), 64)):
        squared = sum(i * i for i in hkl) / (4 * 5.431**2)
        form = (a * np.exp(-b * squared)).sum() * np.exp(-0.5 * squared)
        assert found[hkl] == pytest.approx(factor * form**2, rel=1e-6)


def test_silicon_lacks_what_its_glide_and_its_centring_extinguish():
    found = strengths("silicon")
    for absent in ((2, 0, 0), (2, 2, 2), (4, 2, 0), (1, 0, 0), (2, 1, 0)):
        assert absent not in found


@pytest.mark.parametrize(
    ("file", "name"), [("lnmo_disordered", "LiNi0.5Mn1.5O4"), ("gold", "Au"), ("silicon", "Si")]
)
def test_strengths_agree_with_those_of_the_simulator(file, name):
    simulated = find_simulated(find_crystal(name), 1.0)
    found = strengths(file, 1.0)
    assert len(found) == len(simulated.hkl)
    if file == "lnmo_disordered":  # another parameter of oxygen, .2625 for .263
        return
    for hkl, factor in zip(simulated.hkl.tolist(), simulated.structure_factor, strict=True):
        assert found[tuple(hkl)] == pytest.approx(abs(factor) ** 2, rel=1e-6)


def test_order_adds_superlattice_reflections():
    # P4_332 has no centring: 110 and 210 are there, 100 is extinguished by the screw axis.
    ordered, disordered = strengths("lnmo_ordered", 0.6), strengths("lnmo_disordered", 0.6)
    assert (1, 1, 0) in ordered
    assert (2, 1, 0) in ordered
    assert (1, 0, 0) not in ordered
    assert (1, 1, 0) not in disordered
    assert ordered[1, 1, 0] < 0.05 * max(ordered.values())


def test_screw_axes_and_glides_of_other_systems_extinguish():
    assert (0, 0, 1) not in strengths("quartz")  # 3_2: 00l with l = 3n
    assert (0, 0, 3) in strengths("quartz")
    assert (0, 0, 1) not in strengths("magnesium")  # 6_3: l = 2n
    assert (1, 0, 0) not in strengths("rutile")  # n: 0kl with k + l = 2n
    assert (1, 0, 1) in strengths("rutile")
    assert (0, 1, 0) not in strengths("monoclinic_zirconia")  # 2_1: 0k0 with k = 2n
    assert (0, 0, 1) not in strengths("monoclinic_zirconia")  # c: h0l with l = 2n


def test_spacings_of_a_triclinic_cell_follow_from_its_metric():
    crystal = read_crystal(HERE / "triclinic_rhenium_disulfide.cif")
    a, b, c = 6.352, 6.446, 12.779
    cosines = np.cos(np.radians([91.51, 105.17, 118.97]))
    metric = np.array(
        [
            [a * a, a * b * cosines[2], a * c * cosines[1]],
            [a * b * cosines[2], b * b, b * c * cosines[0]],
            [a * c * cosines[1], b * c * cosines[0], c * c],
        ]
    )
    found = find_reflections(crystal, 0.6)
    squared = np.einsum("ni,ij,nj->n", found.hkl, np.linalg.inv(metric), found.hkl)
    np.testing.assert_allclose((found.g**2).sum(axis=1), squared, rtol=1e-9)
    # All of them: the volume of the sphere over that of the reciprocal cell, within the rim.
    expected = 4 / 3 * np.pi * 0.6**3 * np.sqrt(np.linalg.det(metric))
    assert len(found.hkl) == pytest.approx(expected, rel=0.05)


def test_equivalent_reflections_are_equally_strong():
    crystal = read_crystal(HERE / "quartz.cif")
    one, two, other = structure_strength(crystal, np.array([[1, 0, 1], [0, -1, 1], [0, 1, 1]]))
    assert one == pytest.approx(two)
    # r and z of quartz are not equivalent.
    assert other != pytest.approx(one, rel=0.1)


def test_a_sphere_of_too_many_reflections_is_refused():
    crystal = read_crystal(HERE / "triclinic_rhenium_disulfide.cif")
    with pytest.raises(InputError, match="reflections"):
        find_reflections(crystal, 8.0)
