"""Bring pictures to a size that suits a page or a message, as PNG."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orimap.tasks.report.figures.images import NO_PATTERN, pattern_levels

if TYPE_CHECKING:
    from PIL.Image import Image

TILE_PIXELS = (160, 256)  # patterns on the page are enlarged to the first, reduced to the second
MOST_MAP_PIXELS = 512
OTHERS = (0xD4, 0xD8, 0xDE)  # positions of other clusters, in any kind of light


def thumbnail(picture: Path, pixels: int) -> bytes:
    """Return a figure as PNG, reduced so that neither side is longer than ``pixels``.

    Parameters
    ----------
    picture : Path
        Path of an image file.
    pixels : int
        A smaller figure keeps its size.
    """
    from PIL import Image

    with Image.open(picture) as image:
        image.thumbnail((pixels, pixels))
        return _png(image)


def pattern_tile(pattern: np.ndarray, mask: np.ndarray | None) -> bytes:
    """Return a pattern as PNG in grey levels, its longer side about ``TILE_PIXELS``.

    Parameters
    ----------
    pattern : (dy, dx) array, any unit
    mask : (dy, dx) array or None
        Pixels other than 0 are left out and become black.
    """
    from PIL import Image

    image = Image.fromarray(np.round(255 * pattern_levels(pattern, mask)).astype(np.uint8))
    smallest, largest = TILE_PIXELS
    longest = max(image.size)
    if longest > largest:
        reduced = [max(1, round(side * largest / longest)) for side in image.size]
        image = image.resize(reduced, Image.Resampling.BOX)
    elif longest < smallest:
        times = -(-smallest // longest)
        image = image.resize([side * times for side in image.size], Image.Resampling.NEAREST)
    return _png(image)


def cluster_tile(labels: np.ndarray, cluster: int, colour: str) -> bytes:
    """Return the positions of one cluster in its colour as PNG, one pixel each.

    Parameters
    ----------
    labels : (scan_y, scan_x) array of int
        -1 for no cluster, -2 for no pattern.
    cluster : int
    colour : str
        ``#rrggbb``
    """
    from PIL import Image

    shown = np.select([labels == cluster, labels == NO_PATTERN], [1, 2], 0).astype(np.uint8)
    step = max(1, -(-max(shown.shape) // MOST_MAP_PIXELS))
    image = Image.fromarray(np.ascontiguousarray(shown[::step, ::step]), mode="P")
    image.putpalette([*OTHERS, *bytes.fromhex(colour[1:]), 0, 0, 0])
    return _png(image)


def _png(image: "Image") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()
