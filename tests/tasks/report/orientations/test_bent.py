import numpy as np
import pytest

from orimap.tasks.report.orientations.bent import bent_grains, bent_of, local_turn
from orimap.tasks.report.results import read_results

UNKNOWN = [np.nan] * 3
# Two ends of the first cluster; the second is straight, the third has one part that is known.
TURN = np.array([[0.3, 0, 0], [-0.5, 0, 0], [0, 0.01, 0], [0, -0.02, 0], [1, 0, 0], UNKNOWN])
OWNER = np.array([0, 0, 1, 1, 2, 2])


def test_a_grain_bends_where_its_parts_are_turned_against_each_other():
    (grain,) = bent_grains(TURN, OWNER)
    assert (grain.cluster, grain.parts.tolist()) == (0, [0, 1])
    assert grain.span == pytest.approx(0.8)
    np.testing.assert_allclose(grain.axis, [1, 0, 0])
    np.testing.assert_allclose(grain.turn, [0.3, -0.5])
    assert bent_grains(TURN, np.full(6, -1)) == []
    assert bent_grains(np.zeros((0, 3)), np.zeros(0, int)) == []


def test_the_axis_has_its_largest_part_positive():
    (grain,) = bent_grains(np.array([[0.1, -0.9, 0], [0, 0, 0]]), np.array([0, 0]))
    assert grain.axis[1] > 0
    np.testing.assert_allclose(grain.turn, [-np.hypot(0.1, 0.9), 0])


def test_positions_are_turned_as_their_parts_contribute():
    labels = np.array([[0, 0, 0], [1, 2, -1]])
    weight = np.zeros((2, 3, 6))
    weight[0, 0, 0] = 10
    weight[0, 1, :2] = 5
    weight[1, :, 0] = 7  # overlaps into others, which it does not turn
    found = local_turn(bent_grains(TURN, OWNER), weight, labels)
    np.testing.assert_allclose(found, [[0.3, -0.1, np.nan], [np.nan] * 3])


def test_of_results_without_turns_nothing_is_said(small_store):
    results = read_results(small_store)
    (grain,) = bent_of(results)
    assert (grain.cluster, grain.span) == (0, pytest.approx(0.5))
    results.groups["orientations"] = results.groups["orientations"].drop_vars("component_turn")
    assert bent_of(results) == []
