import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.report.orientations.directions import (
    ALONG,
    CrystalKey,
    cluster_direction_colours,
    corner_names,
    crystal_keys,
)
from orimap.tasks.report.results import read_results

CUBIC = CrystalKey("gold", Rotation.create_group("O").as_matrix(), 4.08 * np.eye(3))
HEXAGON = np.array([[3.2, -1.6, 0], [0, 1.6 * np.sqrt(3), 0], [0, 0, 5.2]])


def test_a_cluster_has_the_colour_of_its_direction_along_each_axis():
    # By 45 degrees about z: 001 along z, 110 along x and y; then one that is not indexed.
    rotation = np.stack([Rotation.from_euler("z", 45, degrees=True).as_matrix(), np.eye(3)])
    rotation[1] = np.nan
    found = {
        axis: cluster_direction_colours(rotation, np.array([0, 0]), [CUBIC], along)
        for axis, along in ALONG.items()
    }
    assert list(found) == ["z", "x", "y"]
    np.testing.assert_allclose(found["z"][0], [1, 0, 0], atol=1e-6)
    for axis in "xy":
        np.testing.assert_allclose(found[axis][0], [0, 1, 0], atol=1e-6)
    assert np.isnan(found["z"][1]).all()


@pytest.mark.parametrize(
    ("crystal", "names"),
    [
        (CUBIC, ["[0 0 1]", "[1 0 1]", "[1 1 1]"]),
        (
            CrystalKey("magnesium", Rotation.create_group("D6").as_matrix(), HEXAGON),
            ["[0 0 1]", "[1 0 0]", "[2 1 0]"],
        ),
    ],
)
def test_corners_of_a_key_have_their_indices(crystal, names):
    assert corner_names(crystal) == names


def test_crystals_come_without_the_turns_that_fill_up(small_store):
    found = read_results(small_store).groups["orientations"]
    turns = found["crystal_turn"].copy()
    turns[1, 12:] = np.nan
    silicon, gold = crystal_keys(found.assign(crystal_turn=turns))
    assert (silicon.name, len(silicon.turns)) == ("silicon", 24)
    assert (gold.name, len(gold.turns)) == ("gold", 12)
