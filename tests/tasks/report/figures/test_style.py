import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from orimap.tasks.report.figures import style
from orimap.tasks.report.figures.images import DetectorGrid, ScanGrid
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


def test_a_pattern_s_scale_bar_is_as_long_as_it_says():
    axes = style.place_axes(Figure(figsize=(2, 2)), 0.5, 0.5, 1, 1)
    axes.imshow(np.zeros((96, 80)))
    limits = axes.get_xlim(), axes.get_ylim()
    style.draw_pattern_bar(axes, (96, 80), DetectorGrid(0.05, "1/Å"))
    (bar,), (text,) = axes.lines, axes.texts
    assert np.ptp(bar.get_xdata()) == pytest.approx(1 / 4)
    assert text.get_text() == "1\u00a0Å⁻¹"
    assert (axes.get_xlim(), axes.get_ylim()) == limits
    style.draw_pattern_bar(axes, (96, 80), DetectorGrid(), written=False)
    assert len(axes.texts) == 1


def legend_of(labels, names, width=3.0):
    figure = Figure(figsize=(width + 1, 4))
    axes = style.place_axes(figure, 0.5, 0.5, width, 2)
    axes.imshow(labels)
    style.draw_map_legend(axes, labels, names, ["#112233", "#445566", "#778899"])
    legend = axes.get_legend()
    if legend is None:
        return []
    return [
        (text.get_text(), to_hex(patch.get_facecolor()))
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    ]


def test_clusters_with_a_name_and_a_position_are_in_the_legend_of_the_map():
    labels = np.array([[0, 0, 1], [1, -1, 1]])
    assert legend_of(labels, ["", "matrix", "twin"]) == [("2 matrix", "#445566")]
    assert legend_of(labels, []) == legend_of(labels, ["", "", ""]) == []
    labels[0, 0] = -2
    assert [text for text, _ in legend_of(labels, ["$a$"])] == [
        r"1 \$a\$", "no cluster", "not measured",
    ]  # fmt: skip


def test_a_legend_has_room_for_all_its_rows():
    labels = np.arange(6).reshape(2, 3)
    names = [f"a rather long name {i}" for i in range(6)]
    assert style.legend_height(labels, [], 3.0) == 0
    one, narrow, wide = (
        style.legend_height(labels, some, width)
        for some, width in ((names[:1], 3.0), (names, 3.0), (names, 9.0))
    )
    assert one < wide < narrow


@pytest.mark.parametrize(
    ("values", "texts"),
    [([0, 0.25, 0.5], ["0.00", "0.25", "0.50"]), ([0, 120, 240], ["0", "120", "240"]),
     ([-10, 0, 10], ["−10", "0", "10"]), ([0, 2e-5], ["0", "2.00 × 10⁻⁵"]),
     ([0.1 + 0.2], ["0.3"])],
)  # fmt: skip
def test_numbers_beside_a_scale_have_as_many_decimals(values, texts):
    assert style.PlainFormatter().format_ticks(values) == texts


def test_a_colour_bar_s_numbers_lie_inside_the_figure_and_are_written_out():
    figure = Figure(figsize=(3, 2), dpi=100)
    axes = style.place_axes(figure, 0.3, 0.3, 2, 1)
    image = axes.imshow(np.array([[0.0, 240.0]]))
    place = style.place_axes(figure, 0.3, 1.5, 2, 0.1)
    bar = style.draw_colour_bar(image, place, "horizontal")
    figure.savefig("/dev/null", format="png")
    texts = [t.get_text() for t in bar.ax.get_xticklabels()]
    assert "200" in texts
    assert not any("e" in text for text in texts)
