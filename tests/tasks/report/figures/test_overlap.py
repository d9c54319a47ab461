import numpy as np
import pytest

from orimap.tasks.report.figures import overlap as figures
from orimap.tasks.report.figures.images import ScanGrid
from orimap.tasks.report.figures.palette import cluster_colours

RNG = np.random.default_rng(0)
CONTRIBUTIONS = RNG.random((5, 12, 14)) * np.array([50, 0.01, 40, 1.5, 0])[:, None, None]
SHARES = np.array([0.5, 0.0, 0.4, 0.03, 0.0])
BACKGROUND = RNG.random((12, 14)) * 5


def words(figure):
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return [
        *texts,
        *(a.get_title("left") for a in figure.axes),
        *(t.get_text() for t in figure.texts),
    ]


ERRORS = np.full(5, 0.02)


def parts(background=BACKGROUND, errors=ERRORS):
    return figures.parts_of(CONTRIBUTIONS, SHARES, errors, background, units="electrons")


def test_the_parts_hold_all_that_can_be_seen():
    found = parts()
    assert [part.cluster for part in found] == [0, 2, None, None]
    assert [part.title for part in found] == ["", "", "other clusters", "background"]
    assert found[0].caption.startswith("share 0.50 ± 0.02\n")
    np.testing.assert_allclose(found[2].values, CONTRIBUTIONS[[1, 3, 4]].sum(axis=0))
    total = sum(part.values for part in found)
    np.testing.assert_allclose(total, CONTRIBUTIONS.sum(axis=0) + BACKGROUND)
    assert [part.title for part in parts(background=0 * BACKGROUND)] == ["", "", "other clusters"]
    assert "±" not in parts(errors=np.full(5, np.nan))[0].caption


def test_all_panels_of_a_decomposition_have_one_scale():
    measured = CONTRIBUTIONS.sum(axis=0) + BACKGROUND
    fitted = np.ones((12, 14), bool)
    fitted[6, 7] = False
    measured[6, 7] = 1e5  # the direct beam
    found = parts()
    figure = figures.decomposition_figure(
        measured,
        found,
        RNG.normal(0, 1, (12, 14)),
        units="electrons",
        colours=cluster_colours(5),
        fitted=fitted,
    )  # fmt: skip
    figure.savefig("/dev/null", format="png", dpi=30)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    limit = sum(part.values for part in found)[fitted].max()
    for image in images[:-1]:
        assert image.get_clim() == pytest.approx((0, limit))
    assert images[-1].get_clim() == pytest.approx((-limit, limit))
    assert images[0].norm(limit / 4) == pytest.approx(0.5)
    assert images[-1].norm(-limit / 4) == pytest.approx(0.25)
    assert {"measured", "=", "+", "residual", "background", "1", "3"} <= set(words(figure))


def test_a_line_is_drawn_on_the_map_with_its_shares_and_patterns():
    labels = np.zeros((20, 30), int)
    labels[:, 15:] = 1
    position = np.stack([np.full(9, 10), np.arange(11, 20)], axis=1)
    shares = np.stack([np.linspace(1, 0, 9), np.linspace(0, 1, 9), np.full(9, 0.02)], axis=1)
    figure = figures.line_figure(
        labels, np.zeros((20, 30)), position, RNG.random((9, 12, 14)), shares,
        np.full((9, 3), 0.03), ScanGrid(2.0, 2.0, "nm"), cluster_names=["matrix"],
    )  # fmt: skip
    figure.savefig("/dev/null", format="png", dpi=30)
    drawn = [axes for axes in figure.axes if axes.containers]
    assert len(drawn) == 1
    curves = drawn[0].containers
    assert [c.get_label() for c in curves] == ["cluster 1 matrix", "cluster 2"]
    np.testing.assert_allclose(curves[0].lines[0].get_xdata(), 2.0 * np.arange(9))
    assert curves[1].lines[0].get_color() == cluster_colours(2)[1]
    assert set("abcdefghi") <= set(words(figure))
    assert "20 nm" in words(figure)


def test_a_line_without_known_errors_or_scale_is_drawn():
    figure = figures.line_figure(
        np.zeros((9, 9), int), np.zeros((9, 9)), np.stack([np.arange(9)] * 2, 1),
        np.zeros((9, 6, 6)), np.ones((9, 1)), np.full((9, 1), np.nan), ScanGrid(),
    )  # fmt: skip
    figure.savefig("/dev/null", format="png", dpi=30)
    assert any("positions" in axes.get_xlabel() for axes in figure.axes)


@pytest.mark.parametrize(
    ("position", "shape", "box"),
    [
        # Nine long, and two more on either side: 13 rows and columns.
        ([(10, x) for x in range(11, 20)], (40, 50), (4, 17, 9, 22)),
        ([(1, x) for x in range(9)], (40, 50), (0, 13, 0, 13)),
        ([(38, 49), (37, 48), (36, 47)], (40, 50), (33, 40, 43, 50)),
        ([(0, x) for x in range(9)], (1, 30), (0, 1, 0, 13)),
    ],
)
def test_the_box_around_a_line_stays_in_the_scan(position, shape, box):
    assert figures.box_around(np.array(position), shape) == box


def test_the_box_is_drawn_on_the_map_and_enlarged_beside_it():
    labels = np.zeros((40, 50), int)
    labels[:, 15:] = 1
    position = np.stack([np.full(9, 10), np.arange(11, 20)], axis=1)
    figure = figures.line_figure(
        labels, np.zeros((40, 50)), position, RNG.random((9, 12, 14)), np.ones((9, 2)),
        np.full((9, 2), np.nan), ScanGrid(), colours=["#102030", "#405060"],
    )  # fmt: skip
    overview, zoom = figure.axes[:2]
    (corner,) = {patch.get_xy() for patch in overview.patches if patch.get_width() == 13}
    assert corner == (8.5, 3.5)
    assert zoom.get_xlim() == (8.5, 21.5)
    assert zoom.get_ylim() == (16.5, 3.5)
    shown = zoom.images[0].get_array()
    assert shown.shape == (13, 13, 3)
    np.testing.assert_allclose(shown[0, 5], [0x10 / 255, 0x20 / 255, 0x30 / 255])
    np.testing.assert_allclose(shown[0, 6], [0x40 / 255, 0x50 / 255, 0x60 / 255])
    assert any(np.array_equal(line.get_xdata(), position[:, 1]) for line in zoom.lines)
