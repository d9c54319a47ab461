import numpy as np
from matplotlib.colors import to_hex

from orimap.tasks.report.comparison import figures as comparison
from orimap.tasks.report.figures.images import ScanGrid, label_image, pattern_levels
from orimap.tasks.report.figures.palette import NO_CLUSTER, cluster_colours

RNG = np.random.default_rng(5)
K = np.arange(1, 5)


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def drawn(axes):
    """The curves of the filters, without the circles."""
    return [line for line in axes.lines if line.get_linestyle() != "None"]


def circles(axes):
    return [line for line in axes.lines if line.get_linestyle() == "None"]


def test_maps_have_common_colours_and_one_scale_bar():
    first = np.repeat([[0, 1, 2]], 4, axis=0)
    second = np.repeat([[0, 3, -1]], 4, axis=0)
    figure = comparison.maps_figure({"raw": first, "mean": second}, ScanGrid(2.0, 2.0, "nm"))
    assert titles(figure) == ["raw", "mean"]
    for axes, label in zip(figure.axes, (first, second), strict=True):
        expected = label_image(label, cluster_colours(4))
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
    assert [len(axes.lines) for axes in figure.axes] == [1, 0]


def test_a_cluster_that_a_filter_does_not_have_is_named_as_not_found():
    patterns = RNG.random((3, 6, 7))
    found = {"raw": {0: patterns[0], 1: patterns[1]}, "mean": {0: patterns[2]}}
    figure = comparison.patterns_figure(found, 2, {"raw": None, "mean": None})
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    for image, pattern in zip(shown, patterns[[0, 2, 1]], strict=True):
        np.testing.assert_array_equal(image, pattern_levels(pattern))
    (missing,) = [axes for axes in figure.axes if not axes.images]
    assert missing.texts[0].get_text() == "not found"
    assert to_hex(missing.spines["left"].get_edgecolor()) == NO_CLUSTER
    assert [text.get_text() for text in figure.texts] == ["1", "2"]


def test_noise_is_written_into_its_cell():
    values = np.array([[4.0, 0.5], [2.0, np.nan]])
    figure = comparison.noise_figure({"whole": values}, ["raw", "mean"], "electron")
    (axes,) = figure.axes
    assert titles(figure) == ["whole (electron)"]
    assert [text.get_text() for text in axes.texts] == ["4", "0.5", "2", "–"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["raw", "mean"]
    assert axes.images[0].get_clim() == (0.5, 4.0)


def test_noise_below_a_hundredth_of_the_largest_has_the_darkest_colour():
    values = np.array([[100.0, 0.01, 0.0]])
    (axes,) = comparison.noise_figure({"robust": values}, ["a", "b", "c"], "1").axes
    assert axes.images[0].get_clim() == (1.0, 100.0)
    np.testing.assert_array_equal(axes.images[0].get_array(), [[100, 1, 1]])


def test_the_band_of_a_loss_curve_is_the_range_over_seeds():
    losses = np.array([[4.0, 3, 2, 1], [5, 2, 2, np.nan]])
    figure = comparison.loss_curves_figure(
        {"raw": (K, losses), "mean": (K, losses[:1])}, {"raw": 3, "mean": 9}
    )
    (axes,) = figure.axes
    raw, mean = drawn(axes)
    np.testing.assert_array_equal(raw.get_ydata(), losses[0])
    assert [raw.get_label(), mean.get_label()] == ["raw", "mean"]
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    assert {tuple(corner) for corner in corners} >= {(1, 4), (1, 5), (2, 2), (2, 3)}
    marked = circles(axes)
    assert [list(circle.get_xdata()) for circle in marked] == [[3], []]
    assert list(marked[0].get_ydata()) == [2]


def test_fluctuation_is_in_per_cent_of_the_mean():
    losses = np.array([[4.0, 3, 2, 1], [6, 3, 2, 3]])
    (axes,) = comparison.fluctuation_figure({"raw": (K, losses)}).axes
    np.testing.assert_allclose(drawn(axes)[0].get_ydata(), [40, 0, 0, 100])
    assert axes.get_ylim()[0] == 0


def test_drops_are_shares_of_the_largest_and_those_without_a_logarithm_are_left_out():
    drops = {"raw": (K, np.array([np.nan, 8.0, 2.0, -1.0])), "mean": (K, np.zeros(4))}
    (axes,) = comparison.held_out_curves_figure(drops, {"raw": 3, "mean": 3}).axes
    (curve,) = drawn(axes)
    assert list(curve.get_xdata()) == [2, 3]
    assert list(curve.get_ydata()) == [1, 0.25]
    assert axes.get_yscale() == "log"
    assert list(circles(axes)[0].get_xdata()) == [3]
