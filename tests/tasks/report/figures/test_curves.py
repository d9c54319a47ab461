import io

import numpy as np
import pytest

from orimap.tasks.report.figures import curves
from orimap.tasks.report.figures.palette import NO_CLUSTER, cluster_colours, rgb

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


def test_pairs_are_sorted_by_cluster_and_leave_the_diagonal_out():
    matrix = np.arange(16.0).reshape(4, 4)
    figure = draw(curves.pairs_figure({"SSIM": matrix, "GMSD": matrix}, [1, -1, 0, 1]))
    axes = figure.axes[0]
    order = [2, 0, 3, 1]
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    expected = matrix[np.ix_(order, order)]
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_array_equal(shown[off], expected[off])
    assert np.isnan(np.diag(shown)).all()
    assert [t.get_text() for t in axes.get_yticklabels()] == ["2", "0", "3", "1"]
    squares = axes.collections[0].get_facecolors()[:, :3]
    blue, orange = cluster_colours(2)
    np.testing.assert_allclose(squares, rgb([blue, orange, orange, NO_CLUSTER]))
    assert legend(figure) == ["background", "cluster 0", "cluster 1"]


def test_components_that_belong_to_no_cluster_are_in_order_and_without_a_legend():
    matrix = np.array([[1, 0.2, 0.9], [0.2, 1, 0.4], [0.9, 0.4, 1]])
    figure = curves.pairs_figure({"SSIM": matrix}, None)
    assert not figure.legends
    panel = next(axes for axes in figure.axes if axes.images)
    assert not panel.collections
    assert [label.get_text() for label in panel.get_yticklabels()] == ["0", "1", "2"]


def test_brighter_is_more_alike_in_every_panel():
    matrix = np.array([[1, 0.2, 0.9], [0.2, 1, 0.4], [0.9, 0.4, 1]])
    figure = curves.pairs_figure({"SSIM": matrix, "GMSD": 1 - matrix}, [0, 1, 2])
    panels = [axes.images[0] for axes in figure.axes if axes.images and axes.get_title(loc="left")]
    for panel, values in zip(panels, (matrix, 1 - matrix), strict=True):
        alike, apart = panel.to_rgba(np.array([values[0, 2], values[0, 1]]))[:, :3].sum(1)
        assert alike > apart
