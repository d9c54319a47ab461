import io

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from orimap.tasks.report.figures import clusters, style
from orimap.tasks.report.figures.images import ScanGrid, label_image, pattern_levels
from orimap.tasks.report.figures.palette import (
    NO_CLUSTER,
    NOT_MEASURED,
    VISION,
    cluster_colours,
    rgb,
    smallest_difference,
)

RNG = np.random.default_rng(3)
LABELS = np.repeat(np.repeat(np.array([[0, 1, 2], [2, 2, -1]]), 8, 0), 10, 1)
NM = ScanGrid(2.0, 2.0, "nm")


def images(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def words(figure):
    texts = [t for axes in figure.axes for t in axes.texts]
    return [t.get_text() for t in texts]


def rendered(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=60)
    return Image.open(buffer)


def test_cluster_map_has_the_palette_s_colours_numbers_and_scale_bar():
    figure = clusters.cluster_map_figure(LABELS, cluster_colours(3), NM)
    np.testing.assert_array_equal(images(figure)[0], label_image(LABELS, cluster_colours(3)))
    assert set(words(figure)) == {"1", "2", "3", "20 nm"}
    bar = figure.axes[0].lines[0].get_xdata()
    assert bar[1] - bar[0] == pytest.approx(20 / 60)


def test_drawn_pixels_have_the_cluster_s_colour():
    picture = np.array(
        rendered(clusters.cluster_map_figure(LABELS, cluster_colours(3), NM)).convert("RGB")
    )
    found = {tuple(pixel) for pixel in picture.reshape(-1, 3)}
    for colour in cluster_colours(3):
        assert tuple(bytes.fromhex(colour[1:])) in found


@pytest.mark.parametrize("count", [1, 5, 8, 20, 33])
def test_each_cluster_s_pattern_is_framed_in_its_colour(count):
    labels = np.arange(count * 6).reshape(count, 6) % count
    patterns = RNG.random((count, 5, 7))
    figure = clusters.clusters_figure(labels, patterns, NM)
    tiles = figure.axes[1:]
    assert len(tiles) == count
    for tile, pattern, colour in zip(tiles, patterns, cluster_colours(count), strict=True):
        np.testing.assert_array_equal(tile.images[0].get_array(), pattern_levels(pattern))
        assert to_hex(tile.spines["left"].get_edgecolor()) == colour
    assert tiles[0].get_xlabel() == f"1   {100 / count:.1f} %"


@pytest.mark.parametrize("count", [1, 6, 20, 33])
def test_tiles_lie_inside_the_figure_and_apart(count):
    figure = clusters.clusters_figure(LABELS % count, RNG.random((count, 6, 6)), NM)
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(b.x0 >= 0 and b.x1 <= 1 and b.y0 >= 0 and b.y1 <= 1 for b in boxes)
    for i, a in enumerate(boxes):
        assert not any(a.overlaps(b) for b in boxes[i + 1 :])


def test_overlap_darkens_the_cluster_and_draws_ratio_and_levels():
    ratio = np.zeros(LABELS.shape)
    ratio[0, 0], ratio[0, 1] = 1.0, 0.5
    level = np.zeros(LABELS.shape, int)
    level[0, :6] = [0, 75, 80, 85, 90, 95]
    figure = clusters.overlap_figure(LABELS, ratio, level, cluster_colours(3), NM)
    colours, ratios, levels = images(figure)
    plain = label_image(LABELS, cluster_colours(3))
    np.testing.assert_allclose(colours[0, 0], 0.15 * plain[0, 0])
    np.testing.assert_array_equal(colours[1], plain[1])
    np.testing.assert_array_equal(ratios, ratio)
    titled = {axes.get_title(loc="left"): axes for axes in figure.axes}
    drawn = titled["levels of overlap"].images[0]
    shown = [to_hex(colour) for colour in drawn.to_rgba(levels)[0, :6]]
    assert shown == [style.DARK, *clusters.LEVEL_COLOURS.values()]


@pytest.mark.parametrize("vision", VISION)
def test_levels_of_overlap_differ_for_every_kind_of_vision(vision):
    assert smallest_difference([style.DARK, *clusters.LEVEL_COLOURS.values()], vision) > 11


def test_shares_are_drawn_one_map_a_cluster():
    shares = RNG.random((6, 8, 7))
    drawn = images(clusters.share_figure(shares, NM))
    for cluster in range(7):
        np.testing.assert_array_equal(drawn[cluster], shares[..., cluster])


def test_k_means_takes_the_colours_of_the_clusters_it_matches():
    other = np.where(LABELS < 0, 0, (LABELS + 1) % 3)
    ours, theirs = images(clusters.baseline_figure(LABELS, other, NM, 0.93))
    np.testing.assert_array_equal(theirs[LABELS >= 0], ours[LABELS >= 0])
    titles = [axes.get_title(loc="left") for axes in clusters.baseline_figure(
        LABELS, other, NM, 0.93).axes]  # fmt: skip
    assert titles == ["orimap", "k-means; adjusted Rand index 0.93"]


def test_fidelity_shows_both_patterns_and_the_metrics():
    means, fits = RNG.random((2, 3, 6, 6))
    scores = {"SSIM": np.array([0.98, np.nan, 0.9]), "PSNR": np.array([41.26, 40.0, 39.0])}
    figure = clusters.fidelity_figure(means, fits, scores)
    drawn = images(figure)
    assert len(drawn) == 6
    np.testing.assert_array_equal(drawn[1], pattern_levels(fits[0]))
    assert [t for t in words(figure) if "px" not in t][:2] == [
        "SSIM 0.980\nPSNR 41.3 dB",
        "PSNR 40.0 dB",
    ]


def legends(figure):
    found = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return [[text.get_text() for text in legend.get_texts()] for legend in found]


def maps_of(labels):
    """Every figure that shows a map of clusters, and how many such maps it has."""
    ratio = np.where(labels >= 0, 0.5, 0.0)
    return {
        "cluster map": (clusters.cluster_map_figure(labels, cluster_colours(3), NM), 1),
        "clusters": (clusters.clusters_figure(labels, RNG.random((3, 6, 6)), NM), 1),
        "overlap": (
            clusters.overlap_figure(
                labels, ratio, (90 * ratio).astype(int), cluster_colours(3), NM
            ),
            1,
        ),
        "baseline": (clusters.baseline_figure(labels, np.maximum(labels, 0), NM, 0.9), 2),
    }


@pytest.mark.parametrize("name", ["cluster map", "clusters", "overlap", "baseline"])
def test_what_was_not_measured_is_drawn_unlike_what_has_no_cluster(name):
    labels = LABELS.copy()
    labels[:8, :10] = -2
    figure, many = maps_of(labels)[name]
    rendered(figure)
    for shown in images(figure)[:many]:
        assert {to_hex(pixel) for pixel in shown[labels == -2]} == {NOT_MEASURED}
    assert {to_hex(pixel) for pixel in images(figure)[0][labels == -1]} == {NO_CLUSTER}
    assert legends(figure) == [["no cluster", "not measured"]]
    plain, _ = maps_of(LABELS)[name]
    assert legends(plain) == []
    assert plain.get_figheight() == pytest.approx(figure.get_figheight() - 0.25)


def test_there_is_no_overlap_where_nothing_was_measured():
    labels = LABELS.copy()
    labels[:8, :10] = -2
    figure, _ = maps_of(labels)["overlap"]
    for axes in figure.axes[1:3]:
        values = np.ma.filled(np.ma.masked_invalid(axes.images[0].get_array()), np.nan)
        np.testing.assert_array_equal(np.isnan(values), labels == -2)
        assert to_hex(axes.get_facecolor()) == NOT_MEASURED


def test_each_level_of_overlap_has_a_map_of_its_own():
    labels = np.array([[0, 0, 1, 1], [0, -1, 1, -2]])
    level = np.array([[75, 80, 0, 95], [0, 95, 90, 0]])
    figure = clusters.levels_figure(labels, level, NM)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in panels] == [
        "≥ 75 %", "≥ 80 %", "≥ 85 %", "≥ 90 %", "≥ 95 %",
    ]  # fmt: skip
    reached = [
        np.isclose(axes.images[0].get_array(), rgb([colour])[0]).all(axis=2)
        for axes, colour in zip(panels, clusters.LEVEL_COLOURS.values(), strict=True)
    ]
    # Where there is no cluster, nothing is reached.
    np.testing.assert_array_equal(reached[0], [[1, 1, 0, 1], [0, 0, 1, 0]])
    np.testing.assert_array_equal(reached[4], [[0, 0, 0, 1], [0, 0, 0, 0]])
    assert panels[0].get_xlabel() == "4 positions, 67 %"
    assert panels[4].get_xlabel() == "1 position, 17 %"
    assert "1 position" not in panels[1].get_xlabel()
