from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.symmetry import laue_turns
from orimap.tasks.report.orientations.colours import (
    colour_key,
    direction_colours,
    find_sector,
    into_sector,
)

CRYSTALS = Path(__file__).parents[2] / "index" / "crystals"
# Of every crystal system one; the size of a sector is the sphere over the order of the Laue class.
ORDERS = {
    "gold": 48,
    "magnesium": 24,
    "quartz": 12,
    "rutile": 16,
    "forsterite": 8,
    "monoclinic_zirconia": 4,
    "triclinic_rhenium_disulfide": 2,
}


def turns_of(name):
    return laue_turns(read_crystal(CRYSTALS / f"{name}.cif"))


def about(axis, angle_deg):
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.radians(angle_deg) * np.array(axis, float)).as_matrix()


def generated(*turns):
    """Return the group that some turns make."""
    found = [np.eye(3)]
    for each in found:
        for turn in turns:
            new = each @ turn
            if not any(np.allclose(new, other, atol=1e-6) for other in found):
                found.append(new)
    return np.array(found)


WITHOUT_MIRRORS = {
    "m-3": (generated(about([0, 0, 1], 180), about(np.ones(3) / np.sqrt(3), 120)), 24),
    "4/m": (generated(about([0, 0, 1], 90)), 8),
    "6/m": (generated(about([0, 0, 1], 60)), 12),
    "-3": (generated(about([0, 0, 1], 120)), 6),
}


def spread(count=4000):
    directions = np.random.default_rng(5).normal(size=(count, 3))
    return directions / np.linalg.norm(directions, axis=1)[:, None]


def test_the_corners_of_a_cubic_crystal_are_red_green_and_blue():
    turns = turns_of("gold")
    assert len(turns) == 24
    corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1]], float)
    np.testing.assert_allclose(direction_colours(corners, turns), np.eye(3), atol=1e-6)
    same = np.array([[0, -2, 0], [0, -1, 1], [1, -1, -1]], float)
    np.testing.assert_allclose(direction_colours(same, turns), np.eye(3), atol=1e-6)
    middle = find_sector(turns).middle
    np.testing.assert_allclose(direction_colours(middle[None], turns), np.ones((1, 3)), atol=1e-6)


def test_half_way_between_two_corners_their_colours_mix():
    turns = turns_of("gold")
    # Along 001 to 101, of which the middle has the angle of 22.5 degrees.
    way = np.radians(np.linspace(0, 45, 9))
    colours = direction_colours(np.stack([np.sin(way), 0 * way, np.cos(way)], 1), turns)
    assert (colours[:, 2] < 1e-6).all()
    assert (np.diff(colours[:, 0]) <= 1e-9).all()
    assert (np.diff(colours[:, 1]) >= -1e-9).all()
    np.testing.assert_allclose(colours.max(axis=1), 1)


@pytest.mark.parametrize(
    ("turns", "order"),
    [
        *((turns_of(name), order) for name, order in ORDERS.items()),
        *WITHOUT_MIRRORS.values(),
    ],
    ids=[*ORDERS, *WITHOUT_MIRRORS],
)
def test_every_direction_has_one_image_in_the_sector_and_equivalent_ones_one_colour(turns, order):
    assert len(turns) == order / 2
    sector, directions = find_sector(turns), spread()
    whole = np.concatenate([turns, -turns])
    images = np.einsum("sij,nj->nsi", whole, directions)
    inside = (images @ sector.normals.T > 0).all(axis=-1)
    assert (inside.sum(axis=1) == 1).all()
    found = into_sector(directions, turns, sector)
    assert ((found @ sector.normals.T) > 0).all()
    colours = direction_colours(directions, turns)
    assert colours.min() >= 0
    assert colours.max() <= 1
    other = direction_colours(images[:, -1], turns)
    np.testing.assert_allclose(other, colours, atol=1e-6)
    # Red where the axis of highest order is; the triclinic class has none.
    if order > 2:
        np.testing.assert_allclose(
            direction_colours(sector.pole[None], turns), [[1, 0, 0]], atol=1e-6
        )


@pytest.mark.parametrize("name", ["gold", "magnesium", "rutile", "forsterite"])
def test_colours_have_no_step_where_edges_are_mirror_planes(name):
    turns, directions = turns_of(name), spread(2000)
    moved = directions + 1e-4 * spread(2000)[::-1]
    step = np.abs(direction_colours(moved, turns) - direction_colours(directions, turns))
    # Hue turns fast about white alone, where there is little of it.
    assert step.max() < 0.01


@pytest.mark.parametrize("name", [*ORDERS])
def test_the_key_shows_the_sector_alone_with_its_corners(name):
    image, corners = colour_key(turns_of(name), 60)
    assert max(image.shape[:2]) == 60
    shown = image[..., 3] > 0
    assert 0.4 < shown.mean() < 0.9
    assert set(np.unique(image[..., 3])) == {0, 1}
    assert corners.min() > -0.01
    assert corners.max() < 1.01


def test_what_is_not_known_has_no_colour():
    colours = direction_colours(np.full((2, 3), np.nan), turns_of("gold"))
    assert np.isnan(colours).all()
