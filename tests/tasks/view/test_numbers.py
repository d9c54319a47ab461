"""That a whole map is the one of orimap decide is tested in tests/flows/viewer."""

import numpy as np

from orimap.tasks.view.numbers import NumberMap, numbered_like


def test_clusters_have_the_numbers_of_those_that_lie_where_they_do():
    shown = np.array([[0, 0, 0, 1, 1, 2, -1]])
    # Two of them are one; one is taken apart, of which the larger part keeps its number.
    label, numbers = numbered_like(np.array([[1, 2, 2, 0, 0, 0, 0]]), 3, shown, 3)
    assert numbers == [1, 3, 0]
    np.testing.assert_array_equal(label, [[3, 0, 0, 1, 1, 1, 1]])
    label, numbers = numbered_like(np.array([[1, 1, 1, 1, 0, -1, -1]]), 2, shown, 3)
    assert numbers == [1, 0]
    np.testing.assert_array_equal(label, [[0, 0, 0, 0, 1, -1, -1]])
    # Where nothing lies in common, numbers go on.
    assert numbered_like(np.array([[-1] * 6 + [0]]), 1, shown, 3)[1] == [3]


def test_sizes_are_those_of_the_labels():
    label = np.array([[0, 2, 2], [-1, 0, 0]], np.int16)
    assert NumberMap(3, 3, label, "").sizes == [3, 0, 2]
    assert NumberMap(1, 1, np.full((2, 2), -1, np.int16), "").sizes == []
