"""Write a self-contained page: figures embedded, every file whole or not at all."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
class Picture:
    """A figure on the page: the image as an address of itself, and what it shows."""

    address: str
    alt: str


@dataclass(frozen=True)
class Swatch:
    """A cluster's number, its colour, and the colour of text on it, as ``#rrggbb``."""

    cluster: int
    colour: str
    ink: str

    @property
    def number(self) -> int:
        """The number that people read: they count from 1."""
        return self.cluster + 1


@dataclass(frozen=True)
class Page:
    """What ``page.html`` shows of every kind of page; a template gets the fields as its names.

    Parameters
    ----------
    title : str
    source : str or None
        Name of the acquisition's file.
    measured : str
        What was measured, without a full stop.
    clusters : sequence of Swatch
    images : mapping of a figure's name to Picture
        Those that could be drawn.
    written : str
        Date and time of the page.
    """

    title: str
    source: str | None
    measured: str
    clusters: Sequence[Swatch]
    images: Mapping[str, Picture]
    written: str


def minute_now() -> str:
    """Return the date and the time of day to the minute."""
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")


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
) -> dict[str, Picture]:
    """Write figures as PNG files, each whole, and return them by name to be embedded.

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
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for drawing in drawings:
        png = png_of(drawing.draw())
        write_whole(folder / f"{drawing.name}.png", png)
        images[drawing.name] = Picture(data_address(png), drawing.alt)
    for name in set(possible) - set(images):
        (folder / f"{name}.png").unlink(missing_ok=True)
    return images


def render(template: str, page: Page) -> bytes:
    """Fill in one of the templates; a name that the page does not have is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    content = {field.name: getattr(page, field.name) for field in fields(page)}
    return templates.get_template(template).render(content).encode()
