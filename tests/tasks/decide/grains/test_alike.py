import numpy as np
import pytest

from orimap.tasks.decide.grains.alike import is_mixture, mixing, places_alike
from orimap.tasks.decide.grains.group import LEAST_ALIKE


def test_places_alike_are_worked_by_hand():
    one, other = np.array([3.0, 4, 0]), np.array([0.0, 4, 3])
    # Cosine 16/25; of 7 the other has 4.
    assert places_alike(one, other) == pytest.approx(0.5 * (16 / 25 + 4 / 7))
    assert places_alike(one, one) == pytest.approx(1)
    # All of the poorer one is in the richer one.
    richer = np.array([3.0, 4, 12])
    assert places_alike(one, richer) == places_alike(richer, one)
    assert places_alike(one, richer) == pytest.approx(0.5 * (25 / 65 + 1))
    assert places_alike(one, np.array([0.0, 0, 9])) == 0 < LEAST_ALIKE
    assert places_alike(one, np.zeros(3)) == places_alike(np.zeros(3), np.zeros(3)) == 0


def test_mixing_is_the_part_of_the_smaller_map_that_the_other_fills():
    one, other = np.array([1.0, 1, 0.5, 0]), np.array([0, 0, 0.5, 0.5])
    assert mixing(one, other) == mixing(other, one) == pytest.approx(0.5)
    assert mixing(one, one) == 1
    assert mixing(one, 1 - np.ceil(one)) == 0
    assert mixing(one, np.zeros(4)) == 0


FIRST, SECOND = np.array([3.0, 2, 2, 0, 0, 0, 0]), np.array([0.0, 0, 0, 2, 3, 2, 0])


def test_a_mixture_has_the_reflections_of_two_that_are_unlike():
    both = np.array([2.0, 2, 2, 2, 2, 2, 1])
    # 6 of 13 are in each of them, and 12 in both.
    assert is_mixture(both, [FIRST, SECOND])
    assert is_mixture(both, [SECOND, np.ones(7), FIRST])
    assert not is_mixture(both, [FIRST])
    assert not is_mixture(both, [FIRST, FIRST])
    assert not is_mixture(np.zeros(7), [FIRST, SECOND])


def test_no_mixture_has_nearly_all_in_one_or_much_in_none():
    one = np.array([2.0, 2, 2, 1, 0, 0, 0])
    # 6 of 7 are in the first: a tilt of it.
    assert not is_mixture(one, [FIRST, SECOND])
    other = np.array([1.0, 1, 0, 1, 1, 0, 2])
    # 4 of 6 are in both: a third crystal.
    assert not is_mixture(other, [FIRST, SECOND])
    assert is_mixture(np.append(other[:6], 1), [FIRST, SECOND])


def test_between_two_that_are_alike_lies_no_mixture():
    first, second = np.array([2.0, 2, 2, 1, 0]), np.array([0.0, 1, 2, 2, 2])
    both = np.array([2.0, 2, 2, 2, 2])
    assert places_alike(first, second) > 0.3
    assert not is_mixture(both, [first, second])
