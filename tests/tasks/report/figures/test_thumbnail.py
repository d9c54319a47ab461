import io

import numpy as np
import pytest
from PIL import Image

from orimap.tasks.report.figures.images import pattern_levels
from orimap.tasks.report.figures.thumbnail import (
    OTHERS,
    TILE_PIXELS,
    cluster_tile,
    pattern_tile,
    thumbnail,
)


def opened(png):
    assert png.startswith(b"\x89PNG")
    return Image.open(io.BytesIO(png))


@pytest.mark.parametrize(
    ("size", "small"), [((600, 300), (200, 100)), ((90, 400), (45, 200)), ((150, 80), (150, 80))]
)
def test_a_figure_keeps_its_proportions_and_is_never_enlarged(tmp_path, size, small):
    path = tmp_path / "figure.png"
    Image.new("RGB", size, "#0a64c8").save(path)
    found = opened(thumbnail(path, 200))
    assert found.size == small
    assert found.convert("RGB").getpixel((small[0] // 2, small[1] // 2)) == (0x0A, 0x64, 0xC8)


def test_a_small_pattern_is_enlarged_in_whole_pixels():
    pattern = np.random.default_rng(0).poisson(9, (12, 20))
    found = np.asarray(opened(pattern_tile(pattern, None)))
    assert max(found.shape) >= TILE_PIXELS[0]
    times = -(-TILE_PIXELS[0] // 20)
    levels = np.round(255 * pattern_levels(pattern)).astype(np.uint8)
    np.testing.assert_array_equal(found, np.kron(levels, np.ones((times, times), np.uint8)))


def test_a_large_pattern_is_reduced_by_averaging():
    pattern = np.zeros((512, 300))
    pattern[:256] = 10
    found = np.asarray(opened(pattern_tile(pattern, None)))
    assert found.shape == (TILE_PIXELS[1], 150)
    assert (found[:128] == 255).all()
    assert (found[128:] == 0).all()


def test_a_pattern_of_a_size_that_suits_the_page_keeps_it():
    pattern = np.arange(200.0 * 160).reshape(200, 160)
    found = np.asarray(opened(pattern_tile(pattern, None)))
    np.testing.assert_array_equal(found, np.round(255 * pattern_levels(pattern)))


def test_masked_pixels_are_black():
    pattern, mask = np.full((160, 160), 1.0), np.zeros((160, 160), np.uint8)
    pattern[:, 80:] = 9
    mask[:, 120:] = 1
    found = np.asarray(opened(pattern_tile(pattern, mask)))
    assert set(found[0, [0, 100, 140]]) == {0, 255}
    assert list(found[0, [0, 100, 140]]) == [0, 255, 0]


def test_the_positions_of_a_cluster_are_one_pixel_each_in_its_colour():
    labels = np.array([[0, 1, 1, -1], [0, 0, 1, -2]])
    with Image.open(io.BytesIO(cluster_tile(labels, 1, "#123456"))) as image:
        shown = np.asarray(image.convert("RGB"))
    assert shown.shape == (2, 4, 3)
    np.testing.assert_array_equal(
        (shown == [0x12, 0x34, 0x56]).all(axis=2), [[0, 1, 1, 0], [0, 0, 1, 0]]
    )
    assert tuple(shown[1, 3]) == (0, 0, 0)
    assert tuple(shown[0, 0]) == tuple(shown[0, 3]) == OTHERS


def test_the_map_of_a_large_scan_is_drawn_in_part():
    with Image.open(io.BytesIO(cluster_tile(np.zeros((5, 1200), int), 0, "#123456"))) as image:
        assert image.size == (400, 2)
