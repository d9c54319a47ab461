"""The static pages of a run and their figures, as they would be on a disk or in a mail.

Whoever can write into the folder may have put them there. So a page gets an origin of its own,
which nothing here answers, and of pictures only the names and kinds are served that a run makes:
nothing of the folder is a page or a script of the viewer.

Tested in tests/flows/viewer/test_run_routes.py.
"""

import html
import re
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from orimap.flows.viewer.run.answers import UNAVAILABLE, error_answer, not_there
from orimap.flows.viewer.run.writing import Writer
from orimap.tasks.errors import InputError
from orimap.tasks.store.open_results import NAME, revision_store

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
# What a browser loads again by itself must not be sandboxed: it would come without its cookie.
WAITING_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
PAGE = "report-"
AGAIN_SECONDS = "2"
WRITTEN = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>orimap</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
    '<body style="font: 16px/1.5 system-ui, sans-serif; margin: 3em auto; max-width: 40em">'
    "<p>The report of revision {name} is being written, which takes some seconds. "
    "It then shows here by itself.</p></body></html>"
)


class Pages:
    """Answers with what a run has written for people to read.

    Parameters
    ----------
    folder : Path
    writer : Writer
        Writes the page of a revision when it is first asked for.
    """

    def __init__(self, folder: Path, writer: Writer) -> None:
        self._folder, self._writer = folder, writer

    async def report(self, _: Request) -> Response:
        """Answer with the page of the automatic result."""
        return self._page("report.html")

    async def of_revision(self, request: Request) -> Response:
        """Answer with the page of a revision, or that it is being written."""
        name = request.path_params["name"]
        if not name.startswith(PAGE) or not NAME.fullmatch(name):
            return not_there(f"{name}.html")
        revision = name.removeprefix(PAGE)
        if not NAME.fullmatch(revision) or not revision_store(self._folder, revision).is_dir():
            return self._page(f"{name}.html")
        try:
            there = await run_in_threadpool(self._writer.report, revision)
        except InputError as error:
            return error_answer(error)
        return self._page(f"{name}.html") if there else _soon(revision)

    async def figure(self, request: Request) -> Response:
        """Answer with a figure."""
        figures, name = (request.path_params[part] for part in ("figures", "name"))
        figure = self._folder / figures / name
        kind = PICTURES.get(figure.suffix)
        named = FIGURES.fullmatch(figures) and NAME.fullmatch(name)
        if not (kind and named and lies_in(figure, self._folder)):
            return not_there(f"{figures}/{name}")
        headers = {"Content-Security-Policy": PICTURE_POLICY, "X-Content-Type-Options": "nosniff"}
        return FileResponse(figure, media_type=kind, headers=headers)

    def _page(self, name: str) -> Response:
        page = self._folder / name
        if not lies_in(page, self._folder):
            return not_there(name)
        return FileResponse(
            page, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY}
        )


def _soon(revision: str) -> Response:
    """Return that a page is being written; a browser asks again by itself."""
    return HTMLResponse(
        WRITTEN.format(name=html.escape(revision)),
        UNAVAILABLE,
        {
            "Retry-After": AGAIN_SECONDS,
            "Refresh": AGAIN_SECONDS,
            "Content-Security-Policy": WAITING_POLICY,
            "Cache-Control": "no-store",
        },
    )


def lies_in(file: Path, folder: Path) -> bool:
    """Return whether this is a file of the folder itself: a link may lead anywhere."""
    return file.is_file() and file.resolve() == folder.resolve() / file.relative_to(folder)
