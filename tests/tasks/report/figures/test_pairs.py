import io

import numpy as np
import pytest

from orimap.tasks.report.figures.pairs import cell_text, pairs_figure
from orimap.tasks.report.figures.palette import NO_CLUSTER, cluster_colours, rgb


def draw(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def legend(figure):
    return [t.get_text() for t in figure.legends[0].get_texts()]


def test_pairs_are_sorted_by_cluster_and_leave_the_diagonal_out():
    matrix = np.arange(16.0).reshape(4, 4)
    figure = draw(pairs_figure({"SSIM": matrix, "GMSD": matrix}, [1, -1, 0, 1]))
    axes = figure.axes[0]
    order = [2, 0, 3, 1]
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    expected = matrix[np.ix_(order, order)]
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_array_equal(shown[off], expected[off])
    assert np.isnan(np.diag(shown)).all()
    assert [t.get_text() for t in axes.get_yticklabels()] == ["3", "1", "4", "2"]
    squares = axes.collections[0].get_facecolors()[:, :3]
    blue, orange = cluster_colours(2)
    np.testing.assert_allclose(squares, rgb([blue, orange, orange, NO_CLUSTER]))
    assert legend(figure) == ["cluster 1", "cluster 2", "background"]


def test_components_that_belong_to_no_cluster_are_in_order_and_without_a_legend():
    matrix = np.array([[1, 0.2, 0.9], [0.2, 1, 0.4], [0.9, 0.4, 1]])
    figure = pairs_figure({"SSIM": matrix}, None)
    assert not figure.legends
    panel = next(axes for axes in figure.axes if axes.images)
    assert not panel.collections
    assert [label.get_text() for label in panel.get_yticklabels()] == ["1", "2", "3"]


def test_brighter_is_more_alike_in_every_panel():
    matrix = np.array([[1, 0.2, 0.9], [0.2, 1, 0.4], [0.9, 0.4, 1]])
    figure = pairs_figure({"SSIM": matrix, "GMSD": 1 - matrix}, [0, 1, 2])
    panels = [axes.images[0] for axes in figure.axes if axes.images and axes.get_title(loc="left")]
    for panel, values in zip(panels, (matrix, 1 - matrix), strict=True):
        alike, apart = panel.to_rgba(np.array([values[0, 2], values[0, 1]]))[:, :3].sum(1)
        assert alike > apart


def test_every_value_stands_in_its_cell_and_both_axes_are_named():
    matrix = np.array([[1, 0.256, 0.5], [0.256, 1, -0.123], [0.5, -0.123, 1]])
    panel = draw(pairs_figure({"SSIM": matrix}, None)).axes[0]
    written = {
        (round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in panel.texts
    }
    assert written == {
        (0, 1): ".26", (1, 0): ".26", (0, 2): ".50", (2, 0): ".50", (1, 2): "−.12", (2, 1): "−.12",
    }  # fmt: skip
    assert panel.get_xlabel() == panel.get_ylabel() == "component"
    assert [t.get_text() for t in panel.get_xticklabels()] == ["1", "2", "3"]


def test_values_of_many_pairs_are_not_written():
    matrix = np.random.default_rng(1).random((17, 17))
    assert not draw(pairs_figure({"SSIM": matrix}, None)).axes[0].texts
    assert len(draw(pairs_figure({"SSIM": matrix[:16, :16]}, None)).axes[0].texts) == 16 * 15


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0.126, 2, ".13"), (1.0, 2, "1.00"), (0.999, 2, "1.00"), (-0.5, 2, "−.50"),
     (41.26, 0, "41"), (0.0, 2, ".00"), (9.2, 0, "9"), (-0.004, 2, ".00")],
)  # fmt: skip
def test_a_value_fits_its_cell(value, decimals, text):
    assert cell_text(value, decimals) == text


def test_all_cells_of_a_panel_have_as_many_decimals():
    panel = draw(pairs_figure({"PSNR": np.array([[0, 9.93], [12.4, 0]])}, None)).axes[0]
    assert sorted(t.get_text() for t in panel.texts) == ["10", "12"]


def test_names_and_chosen_colours_are_in_the_legend():
    matrix = np.random.default_rng(1).random((2, 2))
    figure = draw(
        pairs_figure({"SSIM": matrix}, [0, 1], colours=["#102030", "#405060"], names=["", "a$b$"])
    )
    assert legend(figure) == ["cluster 1", r"cluster 2 a\$b\$"]
    found = figure.axes[0].collections[0].get_facecolors()[:, :3]
    np.testing.assert_allclose(found, rgb(["#102030", "#405060"]))
