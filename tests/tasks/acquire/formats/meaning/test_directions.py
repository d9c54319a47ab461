"""Which axis of the scan counts rows; a guess where its name does not tell."""

import numpy as np
import pytest

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.meaning.axes import in_order
from orimap.tasks.acquire.formats.meaning.directions import in_rows
from orimap.tasks.acquire.formats.signals import Signal

USUAL = ("scan", "scan", "detector", "detector")


def axes_of(names):
    return tuple(
        Axis("" if name == "." else name, size)
        for name, size in zip(names.split(), (6, 7, 4, 5), strict=True)
    )


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("scan_y scan_x ky kx", (0, 1, 2, 3)),
        ("x y kx ky", (1, 0, 3, 2)),
        ("line point ky kx", (0, 1, 2, 3)),
        ("point line ky kx", (1, 0, 2, 3)),
        ("step line ky kx", (1, 0, 2, 3)),
        ("pixel line ky kx", (1, 0, 2, 3)),
        ("scan_pixel scan_line ky kx", (1, 0, 2, 3)),
        ("spalte zeile ky kx", (1, 0, 2, 3)),
        ("lr ud ky kx", (1, 0, 2, 3)),
        ("w h ky kx", (1, 0, 2, 3)),
        ("col row v h", (1, 0, 2, 3)),
        ("pixel_x pixel_y ky kx", (1, 0, 2, 3)),
        ("y b ky kx", (0, 1, 2, 3)),
        ("a x ky kx", (0, 1, 2, 3)),
        ("scan0 scan1 ky kx", (0, 1, 2, 3)),
        ("dim_0 dim_1 dim_2 dim_3", (0, 1, 2, 3)),
        ("phony_dim_1 phony_dim_0 ky kx", (0, 1, 2, 3)),
        (". . ky kx", (0, 1, 2, 3)),
        ("position position ky kx", (0, 1, 2, 3)),
        ("y x u v", (0, 1, 2, 3)),
        ("y x b a", (0, 1, 2, 3)),
        ("R_x R_y Q_x Q_y", (0, 1, 2, 3)),
        ("R_Nx R_Ny Q_Nx Q_Ny", (0, 1, 2, 3)),
    ],
)
def test_names_tell_rows_from_columns(names, order):
    found = in_rows(axes_of(names), USUAL)
    assert (found.axes, found.guesses) == (order, ())


@pytest.mark.parametrize(
    ("names", "order", "rows", "why"),
    [
        ("a b ky kx", (0, 1, 2, 3), "a (6)", "the first one, as usual"),
        ("time position ky kx", (0, 1, 2, 3), "time (6)", "the first one, as usual"),
        ("scan1 scan0 ky kx", (1, 0, 2, 3), "scan0 (7)", "by its number"),
        ("scan_axis_1 scan_axis_0 ky kx", (1, 0, 2, 3), "scan_axis_0 (7)", "by its number"),
        ("axis1 axis0 ky kx", (1, 0, 2, 3), "axis0 (7)", "by its number"),
        ("x b ky kx", (1, 0, 2, 3), "b (7)", "by the one name that tells"),
        ("x y u v", (1, 0, 3, 2), "v (5)", "like the scan"),
    ],
)
def test_names_that_do_not_tell_make_the_order_a_guess(names, order, rows, why):
    found = in_rows(axes_of(names), USUAL)
    assert found.axes == order
    (guess,) = found.guesses
    assert f"counts its rows: {rows}, {why} (stored as" in guess
    assert guess.endswith("--axes settles it)")


def test_what_nobody_could_tell_is_one_guess_not_two():
    array = np.zeros((6, 7, 4, 5))
    read = in_order(Signal("", array, axes_of("a b c d"), ()))
    assert len(read.guesses) == 1
    read = in_order(Signal("", array, axes_of("a b ky kx"), ()))
    assert ["counts its rows" in guess for guess in read.guesses] == [True]
