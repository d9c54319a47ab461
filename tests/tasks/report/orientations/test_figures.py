import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from orimap.tasks.report.figures.images import ScanGrid
from orimap.tasks.report.figures.palette import NO_CLUSTER, rgb
from orimap.tasks.report.orientations import figures

CUBIC = figures.CrystalKey("gold", Rotation.create_group("O").as_matrix(), 4.08 * np.eye(3))
LABELS = np.array([[0, 0, 1, 1, -1], [0, 2, 2, 1, -2], [0, 2, 2, 1, 1]])
# 001 along z; 111 along z; not indexed.
ROTATION = np.array(
    [
        np.eye(3),
        Rotation.align_vectors([[0, 0, 1]], [[1, 1, 1]])[0].as_matrix(),
        np.full((3, 3), np.nan),
    ]
)
PHASE = np.array([0, 0, 0])


def texts(figure):
    return {t.get_text() for axes in figure.axes for t in [*axes.texts, axes.title]}


def test_maps_have_the_colours_of_the_directions_and_grey_where_none_is_sure():
    figure = figures.direction_maps_figure(LABELS, ROTATION, PHASE, [CUBIC], ScanGrid())
    along_z = np.asarray(figure.axes[0].images[0].get_array())
    assert along_z[0, 0] == pytest.approx([1, 0, 0], abs=1e-6)
    assert along_z[0, 2] == pytest.approx([0, 0, 1], abs=1e-3)
    assert along_z[1, 1] == pytest.approx(rgb([NO_CLUSTER])[0])
    assert along_z[0, 4] == pytest.approx(rgb([NO_CLUSTER])[0])
    assert along_z[1, 4] == pytest.approx([0, 0, 0])
    assert [axes.get_title("left") for axes in figure.axes[:3]] == ["along z", "along x", "along y"]
    assert {"[0 0 1]", "[1 0 1]", "[1 1 1]"} <= texts(figure)


def test_circles_lie_where_reflections_are_predicted_and_the_brightest_are_named():
    patterns = np.random.default_rng(0).random((2, 20, 24))
    spots = figures.Spots(
        np.array([0, 0]),
        np.array([[2, -2, 0], [4, 0, 0]]),
        np.array([[5.0, 8.0], [15.0, 12.0]]),
        np.array([1.0, 0.5]),
    )
    figure = figures.indexed_patterns_figure(patterns, spots, ["1", "2"], colours=["#2f6fd0"] * 2)
    first, second = figure.axes[:2]
    np.testing.assert_array_equal(first.collections[0].get_offsets(), [[8, 5], [12, 15]])
    assert not second.collections
    assert {"2 −2 0", "4 0 0"} <= texts(figure)


def test_no_indices_are_written_over_the_scale_bar():
    spots = figures.Spots(
        np.zeros(2, int),
        np.array([[2, -2, 0], [4, 0, 0]]),
        np.array([[18.0, 5.0], [18.0, 16.0]]),
        np.array([1.0, 0.5]),
    )
    figure = figures.indexed_patterns_figure(
        np.zeros((1, 20, 24)), spots, ["1"], colours=["#2f6fd0"]
    )
    assert "2 −2 0" not in texts(figure)
    assert "4 0 0" in texts(figure)


def test_boundaries_run_between_positions_and_a_twin_is_red():
    x, y = figures.boundary_lines(LABELS, 0, 1)
    np.testing.assert_array_equal(x[~np.isnan(x)], [1.5, 1.5])
    np.testing.assert_array_equal(y[~np.isnan(y)], [-0.5, 0.5])
    x, y = figures.boundary_lines(LABELS, 1, 2)
    assert np.isnan(x).sum() == 3
    figure = figures.boundaries_figure(
        LABELS,
        np.array([[0, 1], [1, 2]]),
        np.array([60.0, np.nan]),
        np.array([True, False]),
        ScanGrid(),
    )
    lines = figure.axes[0].lines
    assert figures.TWIN in {line.get_color() for line in lines}


def test_the_map_of_crystals_names_them_all():
    figure = figures.phases_figure(
        LABELS, np.array([0, 1, -1]), ["a$b", "gold"], ["#2f6fd0", "#f28e1c"], ScanGrid()
    )
    legend = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert legend == [r"a\$b", "gold", "none of these"]
    image = np.asarray(figure.axes[0].images[0].get_array())
    assert image[0, 0] == pytest.approx(rgb(["#2f6fd0"])[0])
    assert image[0, 2] == pytest.approx(rgb(["#f28e1c"])[0])
    assert image[1, 1] == pytest.approx(rgb([NO_CLUSTER])[0])


def test_turns_inside_grains_have_colours_of_both_sides_and_the_rest_is_grey():
    turn = np.full(LABELS.shape, np.nan)
    turn[0, :2] = [0.4, -0.4]
    figure = figures.bending_figure(LABELS, turn, ScanGrid())
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    red, blue = drawn[0, 0], drawn[0, 1]
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]
    assert drawn[1, 1] == pytest.approx(rgb([NO_CLUSTER])[0])
    assert drawn[1, 4] == pytest.approx([0, 0, 0])
    assert figure.axes[1].get_ylabel() == "turn about the axis of the grain (degrees)"
