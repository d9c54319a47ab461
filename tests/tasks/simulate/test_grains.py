import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.simulate import crystal, grains
from orimap.tasks.simulate.recipe import ScanRecipe


def _along(normal, across):
    """Rotation that puts the given crystal directions along the beam and along columns."""
    z, x = (np.array(v) / np.linalg.norm(v) for v in (normal, across))
    return np.stack([x, np.cross(z, x), z])


@pytest.mark.parametrize("seed", range(4))
def test_shares_sum_to_one_and_every_grain_has_room(seed):
    recipe = ScanRecipe(scan=(40, 30), grains=9, overlap=3, seed=seed)
    weights = grains.lay_out_grains(recipe)
    assert weights.shape == (40, 30, 9)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-12)
    assert weights.min() >= 0
    sizes = np.bincount(weights.argmax(axis=-1).ravel(), minlength=9)
    assert sizes.min() >= grains.MIN_GRAIN_SHARE * 1200


def test_a_boundary_is_a_ramp_as_wide_as_the_overlap():
    x = np.arange(20)[None, :]
    sites = np.array([[0, 4.5], [0, 14.5]])  # the boundary lies at x = 9.5
    squared = (x[..., None] - sites[:, 1]) ** 2 + 0.0
    found = grains._ramped_shares(squared, sites, overlap=4)[0, :, 0]
    np.testing.assert_allclose(found[7:13], [1, 0.875, 0.625, 0.375, 0.125, 0], atol=1e-12)
    assert (found[:8] == 1).all()
    assert (found[12:] == 0).all()


def test_many_grains_find_room():
    weights = grains.lay_out_grains(ScanRecipe(grains=40, seed=1))
    sizes = np.bincount(weights.argmax(axis=-1).ravel(), minlength=40)
    assert sizes.min() >= 0.0125 * 64 * 64


@pytest.mark.parametrize("material", ["Si", "Au", "LiNi0.5Mn1.5O4"])
def test_chosen_grains_can_be_told_apart(material):
    recipe = ScanRecipe(grains=6, detector=(96, 96), material=material, seed=2)
    chosen = grains.choose_grains(recipe)
    half = np.array(recipe.detector) / 2 * recipe.detector_step_inv_angstrom
    images = [grains._reflection_image(recipe, grain) for grain in chosen]
    for i in range(6):
        assert chosen[i].count_spots(half) >= grains.MIN_SPOTS
        for j in range(i):
            angle = crystal.disorientation_deg(chosen[i].rotation, chosen[j].rotation)
            assert angle >= grains.MIN_MISORIENTATION_DEG
            assert images[i] @ images[j] <= recipe.alike


def test_spinel_grains_show_twenty_to_fifty_spots_on_average():
    recipe = ScanRecipe()
    half = np.array(recipe.detector) / 2 * recipe.detector_step_inv_angstrom
    spots = [grain.count_spots(half) for grain in grains.choose_grains(recipe)]
    assert 20 <= np.mean(spots) <= 50


def test_grains_that_cannot_be_told_apart_are_reported(monkeypatch):
    monkeypatch.setattr(grains, "MIN_MISORIENTATION_DEG", 70.0)  # the cube allows 62.8 at most
    with pytest.raises(InputError, match="different patterns"):
        grains.choose_grains(ScanRecipe(grains=2, detector=(32, 32), material="Si"))


def test_silicon_along_001_shows_220_at_its_reciprocal_distance():
    recipe = ScanRecipe(material="Si")
    reflections = crystal.find_reflections(crystal.find_crystal("Si"), 1.4)
    grain = grains._grain(recipe, reflections, _along([0, 0, 1], [1, 0, 0]))
    distance = np.linalg.norm(grain.spot_q, axis=1)
    nearest = distance < 1.01 * distance.min()
    assert distance[nearest] == pytest.approx(np.sqrt(8) / 5.431)
    assert nearest.sum() == 4
    # [100] lies along columns, so the four lie on the diagonals of the detector.
    np.testing.assert_allclose(np.abs(grain.spot_q[nearest]), 2 / 5.431)


def test_reflections_fade_and_others_appear_as_a_grain_bends():
    recipe = ScanRecipe(material="Si", bend=2)
    reflections = crystal.find_reflections(crystal.find_crystal("Si"), 1.4)
    grain = grains._grain(recipe, reflections, _along([1, 1, 2], [1, -1, 0]))
    bent = grain.intensity_at(np.array([-1.0, 0, 1.0]))
    np.testing.assert_array_equal(bent[1], grain.unbent)
    assert ((bent[0] > 0.05) & (bent[2] < 0.01)).any()
    halfway = grain.intensity_at(grain.bend_nodes_deg[:2].mean(keepdims=True))
    np.testing.assert_allclose(halfway[0], grain.spot_intensity[:2].mean(axis=0))


def test_precession_excites_more_reflections():
    reflections = crystal.find_reflections(crystal.find_crystal("LNMO"), 1.4)
    rotation = _along([1, 2, 5], [2, -1, 0])
    still, precessed = (
        grains._grain(ScanRecipe(precession=angle), reflections, rotation) for angle in (0, 1)
    )
    assert len(precessed.spot_q) > len(still.spot_q)


def test_disks_have_unit_sum_and_lie_where_they_should():
    y, x = np.mgrid[:41, :61]
    drawn = grains.draw_disks(np.array([[0, 0], [3.3, -7.6]]), 2.5, (41, 61)).toarray()
    assert drawn.sum(axis=1) == pytest.approx(1)
    images = drawn.reshape(2, 41, 61)
    # An eighth of a pixel is the grid that the edges are drawn on.
    assert (images * y).sum(axis=(1, 2)) == pytest.approx([20, 23.3], abs=0.03)
    assert (images * x).sum(axis=(1, 2)) == pytest.approx([30, 22.4], abs=0.03)
    assert 1 / images[0].max() == pytest.approx(np.pi * 2.5**2, rel=0.02)


def test_a_disk_across_the_edge_loses_what_lies_beside_the_image():
    drawn = grains.draw_disks(np.array([[20.5, 0.0]]), 3, (41, 41))  # centre on the border
    assert drawn.sum() == pytest.approx(0.5, abs=0.03)


def test_grains_near_zone_axes_lie_within_four_degrees_of_one():
    recipe = ScanRecipe(grains=6, detector=(96, 96), material="Si", zone=True, seed=2)
    axes = np.array(grains.ZONE_AXES) / np.linalg.norm(grains.ZONE_AXES, axis=1)[:, None]
    family = np.abs(np.einsum("sij,aj->sai", crystal.cubic_rotations(), axes).reshape(-1, 3))
    for grain in grains.choose_grains(recipe):
        beam = grain.rotation.T @ [0, 0, 1]
        nearest = np.degrees(np.arccos(min(1, (family @ np.abs(beam)).max())))
        assert nearest <= grains.ZONE_REACH_DEG + 1e-6
