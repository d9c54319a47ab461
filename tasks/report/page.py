"""Write a page that needs nothing beside it: figures embedded, every file whole or not at all."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orimap.tasks.store.whole_file import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 130


@dataclass(frozen=True)
class Drawing:
    """One figure: file name without ending, what it shows (for those who cannot see it)."""

    name: str
    alt: str
    draw: Callable[[], "Figure"]


def data_address(png: bytes) -> str:
    """Return an image as the address of itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def png_of(figure: "Figure") -> bytes:
    """Draw a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    return buffer.getvalue()


def write_figures(
    folder: Path, drawings: Iterable[Drawing], possible: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Write figures as PNG files, each whole, and return them by name to be embedded.

    Parameters
    ----------
    folder : Path
        Made where it is not there.
    drawings : iterable of Drawing
    possible : iterable of str
        The names of all that may be drawn: of those that are not, earlier files are removed.

    Returns
    -------
    dict of str to dict
        The ``address`` of the image and its ``alt`` text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for drawing in drawings:
        png = png_of(drawing.draw())
        write_whole(folder / f"{drawing.name}.png", png)
        images[drawing.name] = {"address": data_address(png), "alt": drawing.alt}
    for name in set(possible) - set(images):
        (folder / f"{name}.png").unlink(missing_ok=True)
    return images


def render(template: str, content: Mapping[str, Any]) -> bytes:
    """Fill in one of the templates beside this module."""
    from jinja2 import Environment, FileSystemLoader

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template(template).render(content).encode()
