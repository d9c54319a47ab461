import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from orimap.tasks.report.figures import style
from orimap.tasks.report.figures.images import ScanGrid
from orimap.tasks.report.figures.palette import text_colour


@pytest.fixture
def axes():
    """Axes of 2 x 1 inches, half an inch from the left and a quarter from the top."""
    return style.place_axes(Figure(figsize=(4, 3)), 0.5, 0.25, 2, 1)


def test_axes_are_placed_in_inches_from_the_upper_left_corner(axes):
    box = axes.get_position()
    assert (box.x0 * 4, (1 - box.y1) * 3) == pytest.approx((0.5, 0.25))
    assert (box.width * 4, box.height * 3) == pytest.approx((2, 1))


def test_a_map_has_a_frame_and_a_title_but_no_ticks(axes):
    values = np.arange(6.0).reshape(2, 3)
    image = style.show_map(axes, values, "noise", cmap="gray", vmin=1, vmax=4)
    np.testing.assert_array_equal(image.get_array(), values)
    assert image.get_clim() == (1, 4)
    assert axes.get_title(loc="left") == "noise"
    assert list(axes.get_xticks()) == list(axes.get_yticks()) == []
    style.bare(axes, "#ff0000", 3)
    assert {to_hex(spine.get_edgecolor()) for spine in axes.spines.values()} == {"#ff0000"}
    assert {spine.get_linewidth() for spine in axes.spines.values()} == {3}


@pytest.mark.parametrize(
    ("scan", "fraction", "said"),
    [
        (ScanGrid(2.0, 2.0, "nm"), 20 / 60, "20 nm"),
        (ScanGrid(50.0, 100.0, "nm"), 1 / 3, "1 µm"),
        (ScanGrid(), 10 / 30, "10 positions"),
    ],
)
def test_a_scale_bar_takes_its_share_of_the_map(axes, scan, fraction, said):
    style.draw_scale_bar(axes, (40, 30), scan)
    (bar,) = axes.lines
    np.testing.assert_allclose(bar.get_xdata(), [0, fraction])
    assert (np.array(bar.get_ydata()) < 0).all()  # below the map
    assert [text.get_text() for text in axes.texts] == [said]


def test_the_scale_bar_of_two_positions_is_one_position(axes):
    style.draw_scale_bar(axes, (2, 2), ScanGrid())
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0, 0.5])
    assert axes.texts[0].get_text() == "1 position"


def test_only_clusters_with_room_are_numbered(axes):
    labels = np.zeros((20, 40), int)
    labels[:, 20:] = 1
    labels[0, 0] = 2  # one position of 0.05 inches
    colours = ["#ffe100", "#000fe1", "#ff0000"]
    style.number_clusters(axes, labels, colours)
    found = {text.get_text(): text for text in axes.texts}
    assert sorted(found) == ["1", "2"]
    assert [found[n].get_color() for n in "12"] == [text_colour(c) for c in colours[:2]]
    column, row = found["2"].get_position()
    assert labels[int(row), int(column)] == 1


def test_a_colour_bar_shows_the_range_of_its_image(axes):
    image = style.show_map(axes, np.zeros((2, 2)), vmin=-1, vmax=3)
    place = style.place_axes(axes.figure, 3, 0.25, 0.1, 1)
    bar = style.draw_colour_bar(image, place)
    assert (bar.vmin, bar.vmax) == (-1, 3)
    assert bar.ax is place
    assert not bar.outline.get_visible()
