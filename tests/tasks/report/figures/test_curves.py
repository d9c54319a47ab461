import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from orimap.tasks.report.figures import curves

K = np.arange(1, 9)


def legend(figure):
    return [t.get_text() for t in figure.legends[0].get_texts()]


def points(axes, label):
    """Return the data of the line or error bar with this label."""
    for container in axes.containers:
        if container.get_label() == label:
            return container[0].get_xydata()
    return next(line.get_xydata() for line in axes.lines if line.get_label() == label)


def draw(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def test_loss_marks_knee_range_and_decision_and_has_a_relative_scale():
    loss = 8.0 / K
    figure = draw(
        curves.loss_figure(K, loss, relative=loss / 4, knee=3, interest=(1, 7), decided=4, fitted=5)
    )
    axes = figure.axes[0]
    np.testing.assert_array_equal(points(axes, "loss"), np.stack([K, loss], 1))
    np.testing.assert_allclose(points(axes, "knee: 3"), [[3, 8 / 3]])
    assert {"range of interest: 1 to 7", "decided: 4", "fitted: 5"} < set(legend(figure))
    scale = axes.child_axes[0]
    np.testing.assert_allclose(scale.get_ylim(), np.array(axes.get_ylim()) / 4)


def test_loss_without_knee_or_relative_values_is_drawn():
    figure = draw(curves.loss_figure(K[:1], np.array([2.0]), relative=np.array([np.nan])))
    assert legend(figure) == ["loss"]
    assert not figure.axes[0].child_axes


def test_drops_of_zero_or_less_are_marked_apart():
    drop = np.array([np.nan, 8, 4, 2, -0.1, 0.01, 0, -2])
    figure = draw(
        curves.held_out_figure(K, drop, np.full(8, 0.1), threshold=0.5, decided=4, fitted=4)
    )
    axes = figure.axes[0]
    np.testing.assert_array_equal(
        points(axes, "drop from k − 1 to k"), [[2, 8], [3, 4], [4, 2], [6, 0.01]]
    )
    np.testing.assert_array_equal(points(axes, "no gain (0 or below)")[:, 0], [5, 7, 8])
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(points(axes, "threshold")[:, 1], [0.5, 0.5])
    assert "fitted: 4" not in legend(figure)


@pytest.mark.parametrize("drop", [np.full(8, np.nan), np.full(8, -1.0)])
def test_held_out_without_any_gain_is_drawn(drop):
    draw(curves.held_out_figure(K, drop, np.full(8, np.nan)))


def test_distinct_patterns_are_drawn_against_the_diagonal():
    distinct = np.array([1, 2, 3, 4, 4, 4, 4, -1])
    background = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    axes = draw(
        curves.distinct_figure(K, distinct, background=background, decided=4, fitted=6)
    ).axes[0]
    np.testing.assert_array_equal(points(axes, "after merging"), np.stack([K[:7], distinct[:7]], 1))
    np.testing.assert_array_equal(points(axes, "every component distinct"), np.stack([K, K], 1))
    assert [bar.get_height() for bar in axes.patches] == list(background)


def test_scree_is_relative_to_the_first_value():
    figure = draw(curves.scree_figure({"sketch": np.array([8.0, 4.0, 0.0, np.nan])}, decided=2))
    np.testing.assert_array_equal(points(figure.axes[0], "sketch"), [[1, 1], [2, 0.5]])


def noise(x, slope=9.0, level=200.0):
    """Variance of single pixels that share a third of it with neighbours, and of all of it."""
    return {
        "single": (level + slope * x * 2 / 3, 0.01 * (level + slope * x)),
        "all": (level + slope * x, 0.1 * (level + slope * x)),
    }


def test_noise_that_grows_much_is_drawn_above_the_offset_on_logarithmic_scales():
    x = np.geomspace(0.5, 400, 9)
    series = noise(x, 150, 12)
    table = {"gain": "150 ± 2", "offset": "20.00 ± 0.03"}
    figure = draw(
        curves.camera_figure(
            x + 20, series, line=(150, -19.92), offset=20, read_noise=3.5, units="grey levels",
            saturation=255, table=table,
        )
    )  # fmt: skip
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    for name, (variance, error) in series.items():
        np.testing.assert_allclose(points(axes, name), np.stack([x, variance], 1))
        bars = next(one for one in axes.containers if one.get_label() == name)[2][0]
        ends = np.array([bar[:, 1] for bar in bars.get_segments()])
        np.testing.assert_allclose(ends, np.stack([variance - error, variance + error], 1))
    along, fitted = points(axes, "gain × intensity + constant").T
    np.testing.assert_allclose(along[[0, -1]], [0.5, 400])
    np.testing.assert_allclose(fitted, 150 * along + 12)
    np.testing.assert_allclose(points(axes, "read-out noise²")[:, 1], 3.5**2)
    np.testing.assert_allclose(points(axes, "saturation: 255")[:, 0], 235)
    assert legend(figure) == [
        "single", "all", "gain × intensity + constant", "read-out noise²", "saturation: 255",
    ]  # fmt: skip
    assert axes.get_xlabel() == "mean intensity above the offset (grey levels)"
    assert axes.get_ylabel() == "variance of the noise (grey levels²)"
    assert [text.get_text() for text in axes.texts] == [
        "gain", "150 ± 2", "offset", "20.00 ± 0.03",
    ]  # fmt: skip


def test_what_was_measured_stands_beside_the_curves_inside_the_figure():
    x = np.geomspace(0.5, 400, 9)
    table = {"noise shared with neighbours": "0.00646 ± 0.00060", "power (gamma)": "0.5"}
    figure = curves.camera_figure(x, noise(x), table=table)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = figure.axes[0]
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    assert all(box.x0 > axes.bbox.x1 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))


def test_noise_that_hardly_grows_is_drawn_on_even_scales():
    x = np.linspace(-0.2, 28, 9)
    figure = draw(curves.camera_figure(x, noise(x), offset=0.0, read_noise=14.1, saturation=255))
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
    np.testing.assert_allclose(points(axes, "read-out noise²")[:, 1], 14.1**2)
    # No saturation far beyond what was seen.
    assert legend(figure) == ["single", "all", "read-out noise²"]
    assert axes.get_xlim()[1] < 30


def test_values_below_the_offset_have_a_place_beside_a_logarithmic_scale():
    x = np.concatenate([[-0.03, 0.0], np.geomspace(0.2, 90, 12)])
    series = noise(x, 9, 1)
    series["all"][0][5] = -3.0
    axes = draw(curves.camera_figure(x, series, line=(9, 1 / 9), offset=0.0, read_noise=0.01)).axes[
        0
    ]
    assert (axes.get_xscale(), axes.get_yscale()) == ("symlog", "log")
    assert axes.xaxis.get_transform().linthresh == pytest.approx(0.1)
    assert -0.1 < axes.get_xlim()[0] < -0.03
    np.testing.assert_allclose(points(axes, "gain × intensity + constant")[:, 0].min(), -0.03)
    # Neither a sum that is below 0 nor next to no noise of read-out stretches the scale.
    lowest = series["single"][0].min()
    assert lowest / 20 < axes.get_ylim()[0] < lowest
    assert "read-out noise²" not in {line.get_label() for line in axes.lines}


def test_noise_of_a_stretched_contrast_is_drawn_without_a_line():
    x = np.linspace(32, 52, 8)
    figure = draw(curves.camera_figure(x, noise(x, -0.4, 36), table={"gamma": "0.50 ± 0.15"}))
    axes = figure.axes[0]
    assert legend(figure) == ["single", "all"]
    assert axes.get_xlabel() == "mean intensity"
    np.testing.assert_allclose(points(axes, "single")[:, 0], x)


def test_a_single_group_of_pixels_is_drawn():
    draw(curves.camera_figure(np.array([5.0]), noise(np.array([5.0])), line=(1, 0)))
