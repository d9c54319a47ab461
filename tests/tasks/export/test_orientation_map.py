import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation

from orimap.tasks.errors import InputError
from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.orientation_map import (
    bunge_angles,
    read_orientation_map,
    space_group_number,
    stated_class,
    twofold_axis,
)


def matrix(*quaternion):
    w, *vector = quaternion
    return Rotation.from_quat([*vector, w]).as_matrix()


HALF = np.sqrt(0.5)
WORKED = {
    # The crystal as the sample.
    (1, 0, 0, 0): (0, 0, 0),
    # Its x along the sample's y.
    (HALF, 0, 0, HALF): (90, 0, 0),
    # Its z against the sample's y: about x by 90 degrees.
    (HALF, HALF, 0, 0): (0, 90, 0),
    # About y by 90 degrees, its z along x: first about z by 90, then x by 90, then z by -90.
    (HALF, 0, HALF, 0): (90, 90, 270),
    # Upside down, about x and about y.
    (0, 1, 0, 0): (0, 180, 0),
    (0, 0, 1, 0): (180, 180, 0),
    # About 111 by 120 degrees: x to y, y to z, z to x.
    (0.5, 0.5, 0.5, 0.5): (90, 90, 0),
}


@pytest.mark.parametrize(("quaternion", "degrees"), WORKED.items())
def test_euler_angles_are_those_worked_by_hand(quaternion, degrees):
    np.testing.assert_allclose(np.degrees(bunge_angles(matrix(*quaternion))), degrees, atol=1e-9)


def test_euler_angles_turn_the_sample_s_axes_into_the_crystal_s():
    rotation = Rotation.random(200, random_state=3).as_matrix()
    first, tilt, last = bunge_angles(rotation).T
    assert ((first >= 0) & (first < 2 * np.pi) & (last >= 0) & (last < 2 * np.pi)).all()
    assert ((tilt >= 0) & (tilt <= np.pi)).all()
    again = Rotation.from_euler("ZXZ", np.stack([first, tilt, last], axis=1)).as_matrix()
    np.testing.assert_allclose(again, rotation, atol=1e-12)
    assert np.isnan(bunge_angles(np.full((2, 3, 3), np.nan))).all()


def test_every_position_has_the_orientation_of_its_label(finished):
    found = read_orientation_map(read_contents(finished))
    assert found.phase.tolist() == [[1, 1, 2, 2], [1, 0, 2, 2], [1, 1, 1, 2]]
    assert found.step == pytest.approx((0.002, 0.005))
    assert found.of_positions(found.reliability, -1.0)[0].tolist() == [0.4, 0.4, 0.2, 0.2]
    assert found.of_positions(found.reliability, -1.0)[1, 1] == -1
    assert found.reflections.tolist() == [3, 2]
    silicon, magnesium = found.crystals
    assert (silicon.laue, silicon.space_group) == ("m-3m", 227)
    assert (magnesium.laue, magnesium.space_group) == ("6/mmm", 194)
    # A tabulator would begin another column.
    assert magnesium.name == r"magnesium\tphase"
    assert magnesium.formula == "Mg0.9Al"


def test_clusters_that_are_not_sure_are_not_indexed(finished):
    contents = read_contents(finished)
    orientations = contents.tree["orientations"].to_dataset()
    sure = orientations["cluster_indexed"].copy(data=[False, True])
    contents.tree["orientations"] = xr.DataTree(orientations.assign(cluster_indexed=sure))
    found = read_orientation_map(contents)
    assert found.phase.tolist() == [[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 0, 2]]
    assert np.isnan(found.rotation[0]).all()


def test_where_these_clusters_were_not_indexed_it_is_said(finished, uncalibrated):
    with pytest.raises(InputError, match=r"not of revision mine[\s\S]*the automatic result"):
        read_orientation_map(read_contents(finished, "mine"))
    contents = read_contents(uncalibrated)
    assert read_orientation_map(contents).step == (1, 1)
    contents.tree["clusters"].attrs["complete"] = "decided anew"
    with pytest.raises(InputError, match=r"decided anew since[\s\S]*orimap index DIR"):
        read_orientation_map(contents)
    del contents.tree["orientations"]
    with pytest.raises(InputError, match=r"orientations of none[\s\S]*orimap index DIR"):
        read_orientation_map(contents)


def test_a_space_group_has_its_number_where_the_class_agrees():
    assert space_group_number("F d -3 m:1", "m-3m") == 227
    assert space_group_number("P 1 21/c 1", "2/m") == 14
    assert space_group_number("F d -3 m:1", "6/mmm") == 0
    assert space_group_number("48 operations", "m-3m") == 0


def test_a_class_is_only_said_where_its_axes_lie_as_readers_expect():
    trigonal = Rotation.create_group("D3", axis="Z").as_matrix()
    # scipy has a twofold axis along x, as -3m1 has along a.
    assert stated_class(trigonal) == "-3m"
    turned = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    assert stated_class(turned @ trigonal @ turned.T) == "-3"
    # On rhombohedral axes the threefold one is no edge of the cell.
    tilted = Rotation.from_euler("y", 50, degrees=True).as_matrix()
    assert stated_class(tilted @ trigonal @ tilted.T) == "-1"
    assert stated_class(Rotation.create_group("D6").as_matrix()) == "6/mmm"
    assert stated_class(Rotation.create_group("O").as_matrix()) == "m-3m"


@pytest.mark.parametrize(("axis", "name"), [([1, 0, 0], "x"), ([0, 0, 1], "z"), ([1, 1, 0], "")])
def test_the_twofold_axis_is_found(axis, name):
    half = Rotation.from_rotvec(np.pi * np.array(axis) / np.linalg.norm(axis)).as_matrix()
    assert twofold_axis(np.stack([np.eye(3), half])) == name
