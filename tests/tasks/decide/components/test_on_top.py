import numpy as np
import pytest

from orimap.tasks.decide.components.on_top import lies_on_top
from orimap.tasks.decide.components.reflections import Reflections

MATRIX = [(3, 3), (3, 9), (3, 15), (9, 3), (9, 9), (9, 15), (15, 3), (15, 9), (15, 15), (21, 3)]
EXTRA = [(6, 21), (12, 21), (18, 21), (24, 21), (27, 9), (27, 15)]
ONE_GROUP = np.zeros(2, int)


def shown(*components, noise=1.0):
    """Reflections of components {(y, x): excess}, noise alike everywhere."""
    excess = np.zeros((len(components), 30, 30))
    for image, places in zip(excess, components, strict=True):
        for place, value in places.items():
            image[place] = value
    return Reflections(excess, np.full_like(excess, noise), excess / noise, excess > 0)


def at(places, value=100.0):
    return dict.fromkeys(places, value)


def test_reflections_that_only_one_of_two_has_lie_on_top():
    found = lies_on_top(ONE_GROUP, shown(at(MATRIX), at(MATRIX + EXTRA)), 8.0, 0.6)
    np.testing.assert_array_equal(found, [False, True])
    # Whatever the dose of either.
    dimmer = shown(at(MATRIX, 300.0), at(MATRIX + EXTRA, 60.0))
    np.testing.assert_array_equal(lies_on_top(ONE_GROUP, dimmer, 8.0, 0.6), [False, True])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # Equal ones; a tilt, which takes as many as it adds; too few; faint all over.
        (at(MATRIX), at(MATRIX)),
        (at(MATRIX[:6] + EXTRA[:4]), at(MATRIX)),
        (at(MATRIX), at(MATRIX + EXTRA[:3])),
        (at(MATRIX) | at(EXTRA, 20.0), at(MATRIX + EXTRA)),
        # Where few electrons would not show them: 100 of 100 electrons to 10 of 10.
        (at(MATRIX, 10.0), at(MATRIX + EXTRA)),
        # Nothing in common to compare brightness by.
        (at(MATRIX), at(EXTRA)),
    ],
)
def test_nothing_else_does(first, second):
    assert not lies_on_top(ONE_GROUP, shown(first, second), 8.0, 0.6).any()


def test_reflections_of_another_pattern_are_those_of_a_mixture():
    components = shown(at(MATRIX), at(MATRIX + EXTRA), at(EXTRA))
    np.testing.assert_array_equal(
        lies_on_top(np.array([0, 0, 1]), components, 8.0, 0.6), [False, False, False]
    )
    # What is of no group says nothing.
    np.testing.assert_array_equal(
        lies_on_top(np.array([0, 0, -1]), components, 8.0, 0.6), [False, True, False]
    )
    assert not lies_on_top(np.full(3, -1), components, 8.0, 0.6).any()
