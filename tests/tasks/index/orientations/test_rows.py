"""Tables keep their rows together."""

from dataclasses import dataclass

import numpy as np

from orimap.tasks.index.orientations.rows import Rows


@dataclass(frozen=True)
class Table(Rows):
    number: np.ndarray
    place: np.ndarray


FIRST = Table(np.array([1, 2, 3]), np.arange(6.0).reshape(3, 2))
SECOND = Table(np.array([7, 8, 9]), -np.arange(6.0).reshape(3, 2))


def test_rows_are_taken_from_every_column():
    some = FIRST.take(np.array([2, 0]))
    assert isinstance(some, Table)
    assert some.number.tolist() == [3, 1]
    assert some.place.tolist() == [[4, 5], [0, 1]]


def test_rows_are_replaced_in_every_column():
    mixed = FIRST.replaced(SECOND, np.array([False, True, False]))
    assert mixed.number.tolist() == [1, 8, 3]
    assert mixed.place.tolist() == [[0, 1], [-2, -3], [4, 5]]
    assert FIRST.number.tolist() == [1, 2, 3]


def test_tables_are_joined_in_their_order():
    both = Table.join([SECOND, FIRST])
    assert both.number.tolist() == [7, 8, 9, 1, 2, 3]
    assert both.place.shape == (6, 2)
