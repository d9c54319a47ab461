"""Fill in a self-contained page: figures, styles and script are part of it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orimap.tasks.report.drawings.write import Picture

TEMPLATES = Path(__file__).parent / "templates"


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
    explored : mapping or None
        What a pointer over a map tells, for the page's script; None where there is no map.
    """

    title: str
    source: str | None
    measured: str
    clusters: Sequence[Swatch]
    images: Mapping[str, "Picture"]
    written: str
    explored: Mapping[str, Any] | None


def minute_now() -> str:
    """Return the date and the time of day to the minute."""
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")


def data_address(png: bytes) -> str:
    """Return an image as the address of itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


@cache
def _script() -> str:
    """Return the script of the page, which does without anything beside it."""
    parts = ("report_maps.js", "report_figures.js")
    return "\n" + "".join((TEMPLATES / part).read_text() for part in parts)


def render(template: str, page: Page) -> bytes:
    """Fill in one of the templates; a name that the page does not have is an error.

    No other script than the page's own can run in it, whatever texts from files hold: a browser
    is told its digest.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    content = {field.name: getattr(page, field.name) for field in fields(page)}
    content |= {"script": script, "digest": digest}
    return templates.get_template(template).render(content).encode()
