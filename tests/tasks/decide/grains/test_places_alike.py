import numpy as np
import pytest

from orimap.tasks.decide.grains.group import LEAST_ALIKE, mixing, places_alike


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
