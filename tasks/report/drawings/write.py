"""Write figures: as PNG files for everyone, and as SVG that is part of a page.

On the page text stays text, lines take the colours of the page (dark where it is dark), images keep
one pixel for each position or detector pixel as far as that shows, and what a pointer can explore
is marked.
"""

import base64
import io
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orimap.tasks.report.figures.style import (
    FRAME,
    GRID,
    INK,
    MARK,
    PAPER,
    QUIET,
    SHADE,
)
from orimap.tasks.store.whole_file import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

DOTS_PER_INCH = 130
POINTS_PER_INCH, PIXELS_PER_INCH = 72, 96
# Text is never shown smaller than this on the page: a figure that does not fit is scrolled.
SMALLEST_TEXT_PX = 9
# Colours that follow the page, by the name that its style has for them.
THEME = {INK: "ink", QUIET: "quiet", GRID: "grid", SHADE: "shade", FRAME: "frame", PAPER: "sheet"}
DRAWN_WITH = {
    "svg.fonttype": "none",
    "svg.hashsalt": "orimap",
    "image.composite_image": False,
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.facecolor": PAPER,
}
FONT_SIZE = re.compile(r"font-size: ([\d.]+)px")
# The page has a family of fonts of its own.
FAMILY = re.compile(r"; font-family: [^;\"]*")
RASTER = re.compile(r"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)")


@dataclass(frozen=True)
class Drawing:
    """One figure: file name without ending, what it shows (for those who cannot see it)."""

    name: str
    alt: str
    draw: Callable[[], "Figure"]


@dataclass(frozen=True)
class Picture:
    """A figure on the page.

    Parameters
    ----------
    svg : str
        The content of its ``svg`` element.
    alt : str
        What it shows.
    box : (float, float)
        Width and height in points, the unit of what is in it.
    width, least : int
        Width where there is room, and the least width at which all text can be read, pixels.
    """

    svg: str
    alt: str
    box: tuple[float, float]
    width: int
    least: int


def png_of(figure: "Figure") -> bytes:
    """Draw a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    return buffer.getvalue()


def picture_of(figure: "Figure", name: str, alt: str) -> Picture:
    """Draw a figure as what is inside of an ``svg`` element.

    Parameters
    ----------
    figure : Figure
    name : str
        Begins all names inside, so that those of several figures differ.
    alt : str
        What it shows.
    """
    import matplotlib as mpl

    _keep_pixels(figure)
    buffer = io.BytesIO()
    with mpl.rc_context(DRAWN_WITH):
        figure.savefig(
            buffer, format="svg", dpi=DOTS_PER_INCH, facecolor="none", metadata={"Date": None}
        )
    text = buffer.getvalue().decode()
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    body = RASTER.sub(lambda found: _small_raster(found.group(1)), body)
    body = _with_theme(_with_names(body, name))
    body = FAMILY.sub("", body)
    sizes = [float(size) for size in FONT_SIZE.findall(body)]
    width, height = (POINTS_PER_INCH * inches for inches in figure.get_size_inches())
    shown = round(width * PIXELS_PER_INCH / POINTS_PER_INCH)
    least = math.ceil(width * SMALLEST_TEXT_PX / min(sizes)) if sizes else 0
    # Space between elements is never shown.
    body = re.sub(r">\s+<", "><", body).strip()
    return Picture(body, alt, (round(width, 2), round(height, 2)), max(shown, least), least)


def _keep_pixels(figure: "Figure") -> None:
    """Have images stored pixel by pixel where that takes no more than what can be seen of them."""
    width, height = figure.get_size_inches() * DOTS_PER_INCH
    for axes in figure.axes:
        box = axes.get_position()
        room = box.height * height, box.width * width
        for image in axes.images:
            shape = image.get_array().shape[:2]
            if all(size <= space for size, space in zip(shape, room, strict=True)):
                image.set_interpolation("none")


def _small_raster(code: str) -> str:
    """Return an image as the address of itself, as small as it can be without any loss."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(code))) as image:
        colours = image.convert("RGBA").getcolors(256)
        opaque = colours is not None and all(colour[3] == 255 for _, colour in colours)
        if opaque:
            image = _indexed(image.convert("RGB"), [colour[:3] for _, colour in colours])
        buffer = io.BytesIO()
        image.save(buffer, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _indexed(image: "Image", colours: list[tuple[int, int, int]]) -> "Image":
    """Return an image of few colours as the numbers of these."""
    import numpy as np
    from PIL import Image as Images

    values = np.asarray(image, np.uint32)
    packed = values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
    codes = np.array(sorted(r << 16 | g << 8 | b for r, g, b in colours), np.uint32)
    indexed = Images.fromarray(np.searchsorted(codes, packed).astype(np.uint8), mode="P")
    indexed.putpalette([part for c in codes.tolist() for part in (c >> 16, c >> 8 & 255, c & 255)])
    return indexed


def _with_names(body: str, name: str) -> str:
    """Keep the names that something refers to, made this figure's own; mark what is explored."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))

    def named(found: re.Match[str]) -> str:
        old = found.group(1)
        if old.startswith(MARK):
            layer, cluster = old.removeprefix(MARK).split(".")[:2]
            number = f' data-cluster="{cluster}"' if cluster else ""
            return f' class="{layer}"{number}'
        return f' id="{name}-{old}"' if old in used else ""

    body = re.sub(r' id="([^"]*)"', named, body)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", body).replace("xlink:href", "href")


def _with_theme(body: str) -> str:
    """Have the colours of text and lines follow the page; as they were where it has none."""
    for colour, name in THEME.items():
        body = re.sub(
            rf"(fill|stroke): {colour}(?=[;\"])", rf"\g<1>: var(--{name}, {colour})", body
        )
    return body


def write_figures(
    folder: Path, drawings: Iterable[Drawing], possible: Iterable[str]
) -> dict[str, Picture]:
    """Write figures as PNG files, each whole, and return them by name to be part of a page.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    drawings : iterable of Drawing
    possible : iterable of str
        The names of all that may be drawn: of those that are not, earlier files are removed.

    Returns
    -------
    dict of str to Picture
    """
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for drawing in drawings:
        with mpl.rc_context(DRAWN_WITH):
            figure = drawing.draw()
        write_whole(folder / f"{drawing.name}.png", png_of(figure))
        figure.set_layout_engine("none")  # it has its layout, which takes as long as drawing
        images[drawing.name] = picture_of(figure, drawing.name.replace("_", "-"), drawing.alt)
    for name in set(possible) - set(images):
        (folder / f"{name}.png").unlink(missing_ok=True)
    return images
