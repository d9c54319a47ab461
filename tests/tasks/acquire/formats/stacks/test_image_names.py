from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.acquire.formats.stacks.image_names import (
    Names,
    families,
    natural_order,
    numbers_by_template,
    template_of,
)
from orimap.tasks.errors import InputError


def paths(*names):
    return [Path(f"{name}.tif") for name in names]


def test_numbers_in_names_are_compared_as_numbers():
    names = ["p_10.png", "p_9.png", "p_1_2.png"]
    assert sorted(names, key=natural_order) == ["p_1_2.png", "p_9.png", "p_10.png"]


@pytest.mark.parametrize(
    ("names", "expected", "before"),
    [
        (("x-3_y1", "x3_y-1"), [[-3, 1], [3, -1]], ("x", "_y")),
        (("x-3_y-1", "x-2_y2"), [[-3, -1], [-2, 2]], ("x", "_y")),
        (("p-3-4", "p-5-6"), [[3, 4], [5, 6]], ("p-", "-")),
        (("3--4", "3-5"), [[3, -4], [3, 5]], ("", "-")),
        (("t+1.5", "t-2.5e-03"), [[1.5], [-0.0025]], ("t",)),
        (("x0,5y1", "x1,0y2"), [[0.5, 1], [1, 2]], ("x", "y")),
        (("a1,5", "a1,6"), [[1, 5], [1, 6]], ("a", ",")),
    ],
)
def test_a_minus_is_a_sign_where_it_comes_and_goes(names, expected, before):
    found = Names.of(paths(*names))
    np.testing.assert_array_equal(found.numbers, expected)
    assert found.literals == before


def test_names_that_differ_in_more_than_numbers_are_of_several_families():
    files = paths("x0_y1", "average", "x0_y1 (1)", "x-1_y0")
    assert Names.of(files) is None
    assert families(files) == [[files[0], files[3]], [files[1]], [files[2]]]


@pytest.mark.parametrize("form", ["i{:04x}", "i_{:02X}"])
def test_hexadecimal_numbers_are_known_by_their_last_digits(form):
    files = paths(*(form.format(number) for number in range(8, 90)))
    np.testing.assert_array_equal(Names.hexadecimal(files).numbers[:, 0], np.arange(8, 90))
    assert Names.hexadecimal(files[:10]) is None
    assert Names.hexadecimal(paths(*(f"{row}{n}" for row in "abcdef" for n in range(10)))) is None


def test_a_template_says_which_number_is_the_column():
    files = paths("p-3_4", "p5_-6")
    assert [n.tolist() for n in numbers_by_template(files, "p{x}_{y}")] == [[-3, 5], [4, -6]]
    assert template_of(files[0], Names.of(files), (0, 1), "yx") == "p{y}_{x}"
    assert template_of(files[0], Names.of(files[:1]), (1, 0), "yx") == "p-{x}_{y}"
    with pytest.raises(InputError, match=r"1 of 2 are not: p5_-6.tif"):
        numbers_by_template(files, "p-{x}_{y}.tif")


@pytest.mark.parametrize("template", ["*", "{y}*", "{x}_{x}", "", "{x}{y}", "{row}_{col}"])
def test_a_template_needs_column_and_row(template):
    with pytest.raises(InputError, match="once each and with something between"):
        numbers_by_template(paths("3_4"), template)
