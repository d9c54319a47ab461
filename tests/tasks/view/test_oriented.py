import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation

from orimap.tasks.report.figures.palette import NO_CLUSTER
from orimap.tasks.store import variables as v
from orimap.tasks.view.oriented import Oriented

HALF = np.sqrt(0.5)


@pytest.fixture
def oriented():
    """Silicon as the sample lies, the same turned by 90 degrees about y, and one that is gold.

    Of the last it is not sure how it lies.
    """
    best = np.array([[1, 0, 0, 0], [HALF, 0, HALF, 0], [1, 0, 0, 0]])
    cubic = Rotation.create_group("O").as_matrix()
    phase = np.array([0, 0, 1], np.int16)
    found = v.dataset(
        {
            v.cluster_quaternion: np.where([[True], [True], [False]], best, np.nan),
            v.cluster_phase: phase,
            v.cluster_score: np.full(3, 0.9),
            v.cluster_reliability: np.array([0.5, 0.4, 0.01]),
            v.cluster_phase_margin: np.full(3, 0.3),
            v.cluster_indexed: np.array([True, True, False]),
            v.cluster_ambiguous: np.array([False, True, True]),
            v.cluster_candidate_quaternion: np.stack([best, best], axis=1),
            v.cluster_candidate_phase: np.stack([phase, phase], axis=1),
            v.crystal_axes: np.stack([5.43 * np.eye(3), 4.08 * np.eye(3)]),
            v.crystal_turn: np.stack([cubic, cubic]),
            v.predicted_cluster: np.array([0, 0, 1], np.int16),
            v.predicted_indices: np.array([[4, 0, 0], [2, -2, 0], [2, 2, 0]], np.int16),
            v.predicted_position: np.array([[3.0, 4], [5, 6], [7, 8]]),
            v.predicted_amplitude: np.array([0.3, 1.0, 1.0]),
            v.boundary_cluster: np.array([[0, 1], [1, 2], [0, 2]], np.int16),
            v.boundary_length: np.array([9, 5, 2]),
            v.boundary_angle: np.array([60.0, np.nan, 12.5]),
            v.boundary_axis: np.array([[1, 1, 1], [np.nan] * 3, [1, 0, 0]]),
            v.boundary_from_sigma3: np.array([0.5, np.nan, np.nan]),
        },
        crystals=["silicon", "gold"],
        reliable_from=0.06,
    )
    assert isinstance(found, xr.Dataset)
    return Oriented(found)


def test_clusters_have_the_colours_of_their_directions_and_crystals(oriented):
    # About y by 90 degrees: a lies against z, c along x. All of these are cube axes: red.
    for axis in "xyz":
        assert oriented.direction_colours(axis) == ["#ff0000", "#ff0000", NO_CLUSTER]
    first, second = oriented.colours_of_crystals
    assert oriented.crystal_colours == [first, first, second]


def test_a_cluster_is_said_with_the_clusters_that_it_touches(oriented):
    assert [each.phase for each in oriented.clusters] == ["silicon", "silicon", "gold"]
    ((number, row),) = oriented.neighbours(1)
    assert (number, row.angle, row.axis, row.name) == (0, "60.0°", "[1 1 1]", "Σ3, 0.5° off")
    assert [number for number, _ in oriented.neighbours(0)] == [1, 2]
    assert oriented.neighbours(2)[0][1].name == ""


def test_reflections_of_a_cluster_come_with_the_brightest_first(oriented):
    found = oriented.reflections(0)
    assert [(each.y, each.x, each.indices) for each in found] == [
        (5, 6, "2 −2 0"), (3, 4, "4 0 0"),
    ]  # fmt: skip
    assert [each.amplitude for each in found] == [1.0, pytest.approx(0.3)]
    assert oriented.reflections(2) == []


def test_the_key_has_its_corners_named(oriented):
    image, corners, names = oriented.key(0)
    assert image.shape[2] == 4
    assert len(corners) == len(names) == 3
    assert names == ["[0 0 1]", "[1 0 1]", "[1 1 1]"]


def test_positions_at_boundaries_have_the_largest_angle_to_a_neighbour(oriented):
    # 0 and 1 are 60 degrees apart, 0 and 2 12.5; of 1 and 2 it is not known.
    label = np.array([[0, 0, 0, 1], [0, 0, 2, 2], [-1, 0, 2, 2], [1, 2, 2, 2]])
    nan = np.nan
    np.testing.assert_array_equal(
        oriented.misorientation(label),
        [[0, 0, 60, 60], [0, 12.5, 12.5, nan], [nan, 12.5, 12.5, 0], [nan, 12.5, 0, 0]],
    )


def test_grains_bend_where_it_is_known_of_what_they_are_made(oriented):
    members, weights = np.array([0, 0, 1]), np.ones((2, 3, 3))
    assert oriented.bent(members, weights) == []  # nothing was stored of parts
    turn = np.array([[0, 0, -0.4], [0, 0, 0.3], [0, 0, 0]])
    found = Oriented(oriented._found.assign({"component_turn": (("component", "xyz"), turn)}))
    (grain,) = found.bent(members, weights)
    assert (grain.cluster, grain.span) == (0, pytest.approx(0.7))
    assert found.bent(members[:2], weights) == []
    assert found.bent(members, None) == []
