import numpy as np
import pytest

from orimap.tasks.decide.components.mixtures import EXPLAINED, find_mixture
from orimap.tasks.decide.components.reflections import Reflections

A = [(3, 3), (3, 9), (9, 3), (15, 3), (21, 3)]
B = [(3, 15), (9, 15), (15, 15), (21, 15), (21, 21)]
C = [(3, 21), (9, 21), (15, 21), (27, 9), (27, 27)]
BESIDE = np.ones((3, 3), bool)
TOTAL = np.array([5.0, 3.0, 1.0])


def holding(*components):
    """Reflections of equal significance at the places of each component."""
    significance = np.zeros((len(components), 30, 30))
    for image, places in zip(significance, components, strict=True):
        for place in places:
            image[place] = 40.0
    return Reflections(significance, np.ones_like(significance), significance, significance > 0)


def test_what_has_the_reflections_of_two_neighbours_and_none_besides_is_their_mixture():
    found = find_mixture(np.arange(3), holding(A, B, A + B), BESIDE, TOTAL, 8.0)
    assert (found.group, found.first, found.second) == (2, 0, 1)
    assert found.explained == pytest.approx(1)


@pytest.mark.parametrize(
    ("places", "groups", "beside", "total"),
    [
        # A pattern of its own; one that holds some of each and as much besides; a copy of one.
        (C, [0, 1, 2], BESIDE, TOTAL),
        (A[:3] + B[:3] + C, [0, 1, 2], BESIDE, TOTAL),
        (A, [0, 1, 2], BESIDE, TOTAL),
        # Fewer than three reflections; no neighbour of one; brighter than both; of no group.
        ([A[0], B[0]], [0, 1, 2], BESIDE, TOTAL),
        (A + B, [0, 1, 2], np.eye(3, dtype=bool), TOTAL),
        (A + B, [0, 1, 2], BESIDE, TOTAL[::-1]),
        (A + B, [0, 1, -1], BESIDE, TOTAL),
    ],
)
def test_anything_else_is_none(places, groups, beside, total):
    found = find_mixture(np.array(groups), holding(A, B, places), beside, total, 8.0)
    assert found is None


def test_some_reflections_besides_are_allowed():
    # 9 of 10, of the same height each, and then 9 of 11.
    few, many = A[:4] + B + C[:1], A[:4] + B + C[:2]
    assert 9 / 11 < EXPLAINED < 9 / 10
    groups = np.arange(3)
    assert find_mixture(groups, holding(A, B, few), BESIDE, TOTAL, 8.0).explained == 0.9
    assert find_mixture(groups, holding(A, B, many), BESIDE, TOTAL, 8.0) is None


def test_a_group_has_the_reflections_of_all_its_components():
    total = np.array([5.0, 1.0, 3.0, 1.0])
    found = find_mixture(
        np.array([0, 0, 1, 2]), holding(A[:2], A[2:], B, A + B), np.ones((4, 4), bool), total, 8.0
    )
    assert (found.group, found.first, found.second) == (2, 0, 1)
