import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from orimap.tasks.report.drawings import write
from orimap.tasks.report.figures import style


def test_a_figure_becomes_png():
    assert write.png_of(Figure(figsize=(1, 1))).startswith(b"\x89PNG")


def test_figures_are_written_by_name_and_those_no_longer_drawn_go(tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    for name in ("map.png", "loss.png", "mine.png"):
        (folder / name).write_bytes(b"of an earlier run")
    drawings = [write.Drawing("map", "A map of the scan.", lambda: Figure(figsize=(1, 1)))]
    images = write.write_figures(folder, drawings, ("map", "loss"))
    assert sorted(file.name for file in folder.iterdir()) == ["map.png", "mine.png"]
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")
    assert images["map"].alt == "A map of the scan."
    assert images["map"].box == (72, 72)
    assert (folder / "mine.png").read_bytes() == b"of an earlier run"


def picture(draw, size=(4, 3)):
    with mpl.rc_context(write.DRAWN_WITH):
        figure = Figure(figsize=size)
        draw(figure.add_axes((0.1, 0.1, 0.8, 0.8)))
    return write.picture_of(figure, "a", "What it shows.")


def elements(found, tag):
    root = ElementTree.fromstring(f"<svg>{found.svg}</svg>")
    return root.findall(f".//{tag}")


def rasters(found):
    return [
        Image.open(io.BytesIO(base64.b64decode(image.get("href").split(",")[1])))
        for image in elements(found, "image")
    ]


def test_text_stays_text_in_the_colours_of_the_page():
    found = picture(lambda axes: axes.set_title("a <b> & c", color=style.INK))
    texts = {text.text: text for text in elements(found, "text")}
    assert f"fill: var(--ink, {style.INK})" in texts["a <b> & c"].get("style")
    assert "font-family" not in found.svg
    assert "#000000" not in found.svg
    assert "<style" not in found.svg
    assert "metadata" not in found.svg


@pytest.mark.parametrize("size", [6, 8, 12])
def test_no_text_is_shown_smaller_than_nine_pixels(size):
    def draw(axes):
        axes.set_axis_off()
        axes.text(0.5, 0.5, "small", fontsize=size)

    found = picture(draw)
    width, _ = found.box
    assert found.least / width * size >= 9
    assert (found.least - 1) / width * size < 9
    assert found.width == max(4 * 96, found.least)


def test_a_small_image_is_stored_pixel_by_pixel_and_a_large_one_as_it_is_seen():
    small = np.arange(20.0).reshape(4, 5)
    (stored,) = rasters(picture(lambda axes: axes.imshow(small, interpolation="nearest")))
    assert stored.size == (5, 4)
    with mpl.rc_context(write.DRAWN_WITH):
        large = np.random.default_rng(1).random((900, 1200))
        (stored,) = rasters(
            picture(lambda axes: axes.imshow(large, interpolation="nearest", aspect="auto"))
        )
    assert stored.size[0] == pytest.approx(0.8 * 4 * write.DOTS_PER_INCH, abs=2)


@pytest.mark.parametrize("colours", ["gray", "cividis"])
def test_an_image_of_few_colours_keeps_each_of_them(colours):
    values = np.random.default_rng(2).random((30, 40))
    found = picture(lambda axes: axes.imshow(values, cmap=colours, vmin=0, vmax=1, aspect="auto"))
    (image,) = rasters(found)
    assert image.mode == "P"
    expected = (mpl.colormaps[colours](values)[..., :3] * 255).astype(int)
    np.testing.assert_allclose(np.asarray(image.convert("RGB"), int), expected, atol=1)


def test_an_image_of_many_colours_or_with_holes_is_kept_whole():
    values = np.random.default_rng(2).random((30, 40, 3))
    (image,) = rasters(picture(lambda axes: axes.imshow(values, aspect="auto")))
    np.testing.assert_allclose(np.asarray(image.convert("RGB")) / 255, values, atol=1 / 200)
    holes = np.ones((3, 4, 4))
    holes[0, 0, 3] = 0
    (image,) = rasters(picture(lambda axes: axes.imshow(holes, aspect="auto")))
    assert np.asarray(image.convert("RGBA"))[0, 0, 3] == 0


def test_what_a_pointer_explores_is_marked():
    def draw(axes):
        style.mark_map(axes)
        other = axes.figure.add_axes((0.6, 0.6, 0.2, 0.2))
        style.mark_pattern(other, 3)
        third = axes.figure.add_axes((0.3, 0.3, 0.2, 0.2))
        style.mark_map(third, 2)

    found = picture(draw)
    marked = [group for group in elements(found, "g") if group.get("class")]
    assert [(group.get("class"), group.get("data-cluster")) for group in marked] == [
        ("scan", None), ("pattern", "3"), ("scan", "2"),
    ]  # fmt: skip


def test_names_inside_belong_to_the_figure_and_are_only_those_that_are_used():
    found = picture(lambda axes: axes.imshow(np.zeros((3, 4))))
    names = re.findall(r' id="([^"]+)"', found.svg)
    used = re.findall(r'(?:url\(#|href="#)([^)"]+)', found.svg)
    assert names
    assert all(name.startswith("a-") for name in names)
    assert set(names) == set(used)
