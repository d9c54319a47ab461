import pytest

from orimap.tasks.acquire.formats.meaning.names import (
    DETECTOR,
    SCAN,
    SERIES,
    Mark,
    counts_rows_by_x,
    parse_axes,
    read_name,
    tells_nothing,
)


@pytest.mark.parametrize(
    ("name", "kind", "direction"),
    [
        ("ky", DETECTOR, "y"), ("kx", DETECTOR, "x"), ("Q_x", DETECTOR, "x"), ("qy", DETECTOR, "y"),
        ("dx", DETECTOR, "x"), ("detector_y", DETECTOR, "y"), ("Detector row", DETECTOR, "y"),
        ("detectorX", DETECTOR, "x"), ("det0", DETECTOR, ""), ("kx [1/nm]", DETECTOR, "x"),
        ("diffraction column", DETECTOR, "x"), ("x_detector", DETECTOR, "x"), ("k_1", DETECTOR, ""),
        ("scan_y", SCAN, "y"), ("scanX", SCAN, "x"), ("scany", SCAN, "y"), ("R_x", SCAN, "x"),
        ("Ry", SCAN, "y"), ("probe_row", SCAN, "y"), ("scan", SCAN, ""), ("position", SCAN, ""),
        ("nav_x", SCAN, "x"), ("scan fast", SCAN, "x"),
        ("CBED_array_depth", SERIES, ""), ("bin_outer_angle", SERIES, ""),
        ("Energy loss", SERIES, ""), ("virtual_detector_depth", SERIES, ""),
    ],
)  # fmt: skip
def test_names_tell_the_kind_of_an_axis_and_its_direction(name, kind, direction):
    assert read_name(name) == (Mark(kind), direction)


@pytest.mark.parametrize(("name", "direction"), [("y", "y"), ("X", "x"), ("row", "y")])
def test_plain_directions_are_mostly_of_the_scan(name, direction):
    assert read_name(name) == (Mark(SCAN, sure=False), direction)


@pytest.mark.parametrize("name", ["", "pattern", "k", "r", "time", "frame", "width", "z", "counts"])
def test_other_names_tell_nothing_of_the_kind(name):
    assert read_name(name).mark is None


def test_among_five_axes_time_and_frames_are_neither_scan_nor_detector():
    assert read_name("time", axes=5).mark == read_name("frame", axes=5).mark == Mark(SERIES)


def test_the_letters_of_py4dstem_are_known_in_any_order():
    assert counts_rows_by_x(["R_x", "R_y", "Q_x", "Q_y"])
    assert counts_rows_by_x(["Qx", "Qy", "Rx", "Ry"])
    assert not counts_rows_by_x(["x", "y", "kx", "ky"])


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("ky,kx,y,x", ("detector_y", "detector_x", "scan_y", "scan_x")),
        ("detector_x, detector_y, scan_x, scan_y",
         ("detector_x", "detector_y", "scan_x", "scan_y")),
        ("scan,qy,qx", ("scan", "detector_y", "detector_x")),
        ("series,y,x,ky,kx", ("series", "scan_y", "scan_x", "detector_y", "detector_x")),
    ],
)  # fmt: skip
def test_axes_are_named_by_somebody(text, axes):
    assert parse_axes(text) == axes


@pytest.mark.parametrize("text", ["", "y,x", "y,x,ky", "y,x,ky,ky", "y,y,kx,ky", "a,b,c,d"])
def test_axes_that_are_not_all_there_are_refused(text):
    with pytest.raises(ValueError, match="must name every axis once"):
        parse_axes(text)


@pytest.mark.parametrize(("name", "direction"), [("sx", "x"), ("sy", "y"), ("px", "x"), ("uv", "")])
def test_a_letter_before_x_or_y_tells_their_direction(name, direction):
    assert read_name(name).direction == direction


@pytest.mark.parametrize("name", ["", " ", "dim_0", "phony_dim_3", "axis-1", "<undefined>", "2"])
def test_names_that_only_number_an_axis_are_none(name):
    assert tells_nothing(name)


@pytest.mark.parametrize("name", ["u", "x", "d0", "k", "index of scan", "dimension y"])
def test_other_names_are_names(name):
    assert not tells_nothing(name)
