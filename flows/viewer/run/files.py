"""Pages and pictures that lie in the folder of a run: shown, and able to do nothing.

Whoever can write into the folder may have put them there. So a page that a run wrote gets an
origin of its own, which nothing here answers, and of pictures only the names and kinds are served
that a run makes: nothing of the folder is a page or a script of the viewer.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from orimap.flows.viewer.run.answers import not_there
from orimap.tasks.store.open_results import NAME

# A report has styles and scripts of its own; it gets at nothing of the viewer.
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads allow-popups allow-modals; default-src 'none'; "
    "img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "font-src data:; base-uri 'none'; form-action 'none'"
)
# An SVG is a page as well: it may have scripts.
PICTURE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}
FIGURES = re.compile(r"figures(-[A-Za-z0-9_.-]+)?")


def routes_of_files(folder: Path) -> list[Route]:
    """Return the addresses of all that is served of a folder as it lies there.

    Parameters
    ----------
    folder : Path
        Of a run.
    """
    answers: dict[str, Callable[[Path, Request], Awaitable[Response]]] = {
        "/report.html": _report,
        "/{name:str}.html": _revision_report,
        "/{figures:str}/{name:str}": _picture,
    }
    return [Route(path, partial(answer, folder)) for path, answer in answers.items()]


async def _report(folder: Path, _: Request) -> Response:
    return _page(folder, "report.html")


async def _revision_report(folder: Path, request: Request) -> Response:
    name = request.path_params["name"]
    if not name.startswith("report-") or not NAME.fullmatch(name):
        return not_there(f"{name}.html")
    return _page(folder, f"{name}.html")


def _page(folder: Path, name: str) -> Response:
    """Answer with a page as it would be on a disk or in a mail."""
    page = folder / name
    if not lies_in(page, folder):
        return not_there(name)
    return FileResponse(
        page, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY}
    )


async def _picture(folder: Path, request: Request) -> Response:
    figures, name = (request.path_params[part] for part in ("figures", "name"))
    picture = folder / figures / name
    kind = PICTURES.get(picture.suffix)
    named = FIGURES.fullmatch(figures) and NAME.fullmatch(name)
    if not (kind and named and lies_in(picture, folder)):
        return not_there(f"{figures}/{name}")
    headers = {"Content-Security-Policy": PICTURE_POLICY, "X-Content-Type-Options": "nosniff"}
    return FileResponse(picture, media_type=kind, headers=headers)


def lies_in(file: Path, folder: Path) -> bool:
    """Return whether this is a file of the folder itself: a link may lead anywhere."""
    return file.is_file() and file.resolve() == folder.resolve() / file.relative_to(folder)
