import numpy as np
import pytest
from matplotlib.colors import to_hex

from orimap.tasks.report.figures import scan_maps as figures
from orimap.tasks.report.figures.images import ScanGrid, pattern_levels
from orimap.tasks.report.figures.palette import NO_CLUSTER, cluster_colours

NM = ScanGrid(2.0, 2.0, "nm")
RNG = np.random.default_rng(3)


def words(figure):
    texts = [t.get_text() for axes in figure.axes for t in axes.texts]
    return [*texts, *(axes.get_title("left") for axes in figure.axes)]


def panel(title, values, units="electron"):
    return figures.MapPanel(title, values, units)


def test_every_map_has_its_values_its_unit_and_a_colour_bar():
    maps = [RNG.random((12, 15)) * 10**i for i in range(4)]
    figure = figures.scan_maps_figure(
        [panel("a", maps[0]), panel("b", maps[1], "1"), panel("c", maps[2]), panel("d", maps[3])],
        NM,
    )
    figure.savefig("/dev/null", format="png", dpi=30)
    drawn = [axes.images[0] for axes in figure.axes if axes.images]
    for image, values in zip(drawn, maps, strict=True):
        np.testing.assert_array_equal(image.get_array(), values)
        assert image.colorbar is not None
        assert image.get_clim() == pytest.approx(tuple(np.percentile(values, (0.5, 99.5))))
    assert {"a (electrons)", "b", "c (electrons)", "d (electrons)", "10 nm"} <= set(words(figure))


def test_positions_without_a_value_are_grey_whatever_the_colours():
    values = np.array([[np.nan, 1.0], [2.0, 3.0]])
    axes = figures.scan_maps_figure([panel("a", values)], NM).axes[0]
    assert to_hex(axes.get_facecolor()) == NO_CLUSTER
    assert axes.images[0].to_rgba(values)[0, 0, 3] == 0  # what is behind shows


def test_a_map_of_one_value_is_drawn():
    figure = figures.scan_maps_figure([panel("threshold", np.full((4, 5), 3.8), "1")], NM)
    figure.savefig("/dev/null", format="png", dpi=30)


def test_the_beam_s_shifts_have_equal_limits_about_zero():
    shift = RNG.uniform(-3, 3, (30, 40, 2))
    shift[..., 1] /= 10
    shift[2, 3] = 80.0  # one pattern out of line
    shift[4, 5] = np.nan
    figure = figures.beam_shift_figure(shift, NM)
    figure.savefig("/dev/null", format="png", dpi=30)
    along_y, along_x = (axes.images[0] for axes in figure.axes if axes.images)
    np.testing.assert_array_equal(along_y.get_array(), shift[..., 0])
    np.testing.assert_array_equal(along_x.get_array(), shift[..., 1])
    low, high = along_y.get_clim()
    assert along_x.get_clim() == (low, high) == (-high, high)
    assert 2.9 < high < 3
    middle = along_y.to_rgba(np.array([0.0]))[0, :3]
    np.testing.assert_allclose(middle, middle[0], atol=0.01)  # neither blue nor red
    assert {"direct beam along y (px)", "direct beam along x (px)", "20 nm"} <= set(words(figure))


@pytest.mark.parametrize("size", [0.0, 0.01, np.nan])
def test_a_beam_that_stays_is_drawn_within_half_a_pixel(size):
    figure = figures.beam_shift_figure(np.full((5, 6, 2), size), NM)
    assert figure.axes[0].images[0].get_clim() == (-0.5, 0.5)


def test_a_few_positions_out_of_line_do_not_darken_the_rest():
    values = RNG.uniform(0, 1, (40, 40))
    values[3, 4] = 1000
    assert figures.shown_range(values)[1] <= 1


def test_few_positions_that_differ_are_shown():
    values = np.zeros((40, 40))
    values[3, 4] = 7
    assert figures.shown_range(values) == (0, 7)
    assert figures.shown_range(np.full((2, 2), np.nan)) == (0, 0)


@pytest.mark.parametrize("count", [1, 4, 6, 11])
def test_each_dark_field_has_the_colour_and_number_of_its_cluster(count):
    fields = RNG.random((12, 15, count)) * 50
    figure = figures.dark_fields_figure(fields, NM, units="electron", places=np.arange(count))
    figure.savefig("/dev/null", format="png", dpi=30)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == count
    for cluster, (axes, colour) in enumerate(zip(shown, cluster_colours(count), strict=True)):
        np.testing.assert_array_equal(axes.images[0].get_array(), fields[..., cluster])
        assert axes.images[0].get_clim()[0] == 0
        assert to_hex(axes.spines["left"].get_edgecolor()) == colour
        assert str(cluster + 1) in [t.get_text() for t in axes.texts]
    assert "no place of its own" in words(figure)  # the first has none
    assert shown[0].get_xlabel() == "0 places"


@pytest.mark.parametrize("shape", [(60, 4), (1, 40), (1, 1)])
def test_unusual_scans_are_drawn(shape):
    maps = [panel(str(i), RNG.random(shape)) for i in range(6)]
    figures.scan_maps_figure(maps, ScanGrid()).savefig("/dev/null", format="png", dpi=30)
    fields = RNG.random((*shape, 3))
    drawn = figures.dark_fields_figure(fields, ScanGrid(), units="1", places=np.ones(3, int))
    drawn.savefig("/dev/null", format="png", dpi=30)


def test_positions_that_were_not_measured_are_black_in_every_map():
    missing = np.zeros((12, 15), bool)
    missing[9:] = True
    maps = [panel("a", RNG.random((12, 15))), panel("b", RNG.random((12, 15)))]
    figure = figures.scan_maps_figure(maps, NM, missing)
    for axes in figure.axes[:4:2]:
        values, cover = (image.get_array() for image in axes.images)
        assert np.ptp(values) > 0
        np.testing.assert_array_equal(cover[..., 3], missing)
        assert not cover[..., :3].any()


def test_single_masked_pixels_are_circled_and_areas_tinted():
    mask = np.zeros((20, 24), np.uint8)
    mask[2, 3] = mask[15, 20] = 1
    mask[8:12, 8:12] = 4
    means = {"mean pattern": (RNG.random(mask.shape), mask)}
    figure = figures.acquisition_figure(RNG.random((6, 8)), means, NM)
    pattern = figure.axes[1]
    circles = pattern.collections[0].get_offsets()
    np.testing.assert_array_equal(circles, [[3, 2], [20, 15]])
    tint = pattern.images[1].get_array()[..., 3]
    np.testing.assert_array_equal(tint > 0, mask == 4)
    assert pattern.get_xlabel() == "18 masked pixels in orange"


@pytest.mark.parametrize("missing", ["bright field", "mean"])
def test_acquisition_is_drawn_with_one_part_missing(missing):
    field = None if missing == "bright field" else RNG.random((6, 8))
    means = {} if missing == "mean" else {"mean pattern": (RNG.random((10, 9)), None)}
    figure = figures.acquisition_figure(field, means, NM)
    assert len(figure.axes) == 1
    figure.savefig("/dev/null", format="png", dpi=30)


def test_mean_patterns_are_drawn_side_by_side_each_with_its_own_mask():
    masks = np.zeros((2, 10, 9), np.uint8)
    masks[0, 2, 3] = masks[1, 5, 5] = masks[1, 7, 7] = 1
    means = RNG.random((2, 10, 9))
    titles = ("as acquired", "as analysed")
    pairs = zip(means, masks, strict=True)
    figure = figures.acquisition_figure(
        RNG.random((6, 8)), dict(zip(titles, pairs, strict=True)), NM
    )
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[0].x1 < boxes[1].x0
    assert boxes[1].x1 < boxes[2].x0
    assert boxes[2].x1 <= 1
    for axes, title, mean, mask in zip(figure.axes[1:], titles, means, masks, strict=True):
        assert axes.get_title(loc="left") == title
        np.testing.assert_array_equal(axes.images[0].get_array(), pattern_levels(mean, mask))
        assert axes.get_xlabel().startswith(f"{mask.sum()} masked")
