import numpy as np
import pytest

from orimap.tasks.maps.by_hand.regroup import last_merge, regroup

STRENGTH = np.array([9.0, 8, 7, 6, 5, 4])


def likeness_of(pairs):
    """The mean of what is said of pairs of components."""
    table = np.zeros((6, 6))
    for (i, j), value in pairs.items():
        table[i, j] = table[j, i] = value
    return lambda one, other: float(table[np.ix_(one, other)].mean())


def every(groups):
    return len(np.unique(groups[groups >= 0]))


LIKENESS = likeness_of({(0, 1): 0.9, (2, 3): 0.7, (0, 2): 0.5, (1, 2): 0.5, (4, 0): 0.1})


def test_the_number_that_is_there_takes_no_step():
    assert regroup(np.array([0, 0, 1, 1, 2, -1]), 3, STRENGTH, LIKENESS, every) == []


def test_the_least_sure_merge_is_undone_first():
    (step,) = regroup(np.array([0, 0, 1, 1, 2, -1]), 4, STRENGTH, LIKENESS, every)
    assert (step.what, step.likeness) == ("undone", pytest.approx(0.7))
    np.testing.assert_array_equal(step.groups, [0, 0, 1, 3, 2, -1])


def test_what_was_left_out_comes_back_when_no_merge_is_left():
    steps = regroup(np.array([0, 0, 1, 1, -1, -1]), 5, STRENGTH, LIKENESS, every)
    assert [step.what for step in steps] == ["undone", "undone", "brought back"]
    np.testing.assert_array_equal(steps[-1].groups, [0, 3, 1, 2, 4, -1])


def test_the_most_alike_pair_is_joined_first():
    steps = regroup(np.array([0, 0, 1, 1, 2, -1]), 1, STRENGTH, LIKENESS, every)
    # Components 0 and 1 against 2 and 3: the mean of .5, 0, .5 and 0.
    assert [step.likeness for step in steps] == pytest.approx([0.25, 0.1 / 4])
    np.testing.assert_array_equal(steps[0].groups, [0, 0, 0, 0, 2, -1])
    np.testing.assert_array_equal(steps[1].groups, [0, 0, 0, 0, 0, -1])


def test_a_step_that_the_map_does_not_show_is_passed_over():
    def placed(groups):
        return every(groups) - (groups[2] != groups[3])  # one of the two is nowhere

    (step,) = regroup(np.array([0, 0, 1, 1, 2, -1]), 4, STRENGTH, LIKENESS, placed)
    np.testing.assert_array_equal(step.groups, [0, 3, 1, 1, 2, -1])


def test_components_that_weigh_nothing_are_no_pattern():
    groups = np.array([0, 1, 2, 3, -1, -1])
    nothing = np.where(groups < 0, 0.0, STRENGTH)
    assert regroup(groups, 5, nothing, LIKENESS, every) is None
    assert regroup(groups, 7, STRENGTH, LIKENESS, every) is None


def test_the_last_merge_is_between_what_is_least_alike():
    value, part = last_merge([0, 1, 2], LIKENESS)
    assert (value, part) == (pytest.approx(0.5), [2])
