"""Put the pages together: those of one run, or the table of all runs with the pages of each."""

import asyncio
import html
import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from orimap.flows.viewer.entry.access import Access
from orimap.flows.viewer.entry.guard import STATIC, Guard
from orimap.flows.viewer.table.about import about_page, find_about
from orimap.flows.viewer.table.find_runs import RunFinder, is_run, link_in
from orimap.flows.viewer.table.runs import (
    ABOUT,
    FIGURE,
    RunTable,
    as_csv,
    as_json,
    chosen,
    quoted,
)
from orimap.flows.watch.journal import JOURNAL
from orimap.tasks.errors import InputError
from orimap.tasks.lines import printable

# Pages of runs that are kept ready, as long as what they hold together is not more than this; that
# of the run that is looked at stays, however large.
RUNS_KEPT, RUNS_BYTES = 8, 512 * 2**20
THUMBNAIL_PIXELS = 192
THUMBNAILS_KEPT = 2000
TABLE_FILES = {"runs.css": "text/css", "runs.js": "text/javascript"}
RUNS, ABOUT_PAGES = "/runs/", f"/{ABOUT}"


class PagesOfRun(Protocol):
    """The pages of one run, as an ASGI application."""

    @property
    def bytes(self) -> int:
        """Bytes of what it holds in memory."""

    def close(self) -> None:
        """Let go of all that it holds."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""


@dataclass(frozen=True)
class Place:
    """What is looked at.

    Parameters
    ----------
    folder : Path
        Absolute, without links.
    journal : Path or None
        None where the folder is that of one run; else where the journal of a watcher would be.
    """

    folder: Path
    journal: Path | None = None

    @property
    def is_one_run(self) -> bool:
        """Whether it is one run, not a folder of many."""
        return self.journal is None


def find_place(folder: Path, state: Path) -> Place:
    """Return what a folder is: that of a run, or one of many runs.

    Parameters
    ----------
    folder : Path
    state : Path
        Where the journal of a watcher would be.

    Raises
    ------
    InputError
        If it is neither.
    """
    if not folder.is_dir():
        found = f"{folder} is a file" if folder.exists() else f"there is no folder {folder}"
        raise InputError(NEEDED, found, "give a folder that was given to orimap run as --output, "
                         "or to orimap watch or up as --results")  # fmt: skip
    whole, journal = folder.resolve(), state / JOURNAL
    if is_run(whole):
        return Place(whole)
    # One that is watched may have no results yet.
    if state.is_dir() or RunFinder(whole).find():
        return Place(whole, journal)
    raise InputError(
        NEEDED,
        f"no results in {folder}, and none in the folders below it",
        "give a folder that was given to orimap run as --output, or to orimap watch or up as "
        "--results",
    )


NEEDED = "the folder of a run, or a folder of many runs"


def viewer(
    place: Place, access: Access, *, writable: bool = True, ask: str = "orimap view --token"
) -> ASGIApp:
    """Return the whole application, which answers only who may look.

    Parameters
    ----------
    place : Place
    access : Access
    writable : bool
        Whether revisions may be written.
    ask : str
        The command that prints the token.
    """
    if place.journal is None:
        return Guard(_run_pages(place.folder, writable), access, ask=ask)
    table = RunTable(place.folder, place.journal)
    return Guard(table_app(table, lambda folder: _run_pages(folder, writable)), access, ask=ask)


def _run_pages(folder: Path, writable: bool) -> PagesOfRun:
    """Return the pages of one run."""
    from orimap.flows.viewer.run_routes import run_app

    return run_app(folder, writable=writable)


def table_app(table: RunTable, run_pages: Callable[[Path], PagesOfRun]) -> Starlette:
    """Return the table of runs, with the pages of each.

    Parameters
    ----------
    table : RunTable
    run_pages : callable
        Returns the pages of the run in a folder.
    """
    pages = _PagesOfRuns(table, run_pages)

    async def page(_request: Request) -> Response:
        return FileResponse(STATIC / "runs.html", media_type="text/html")

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in TABLE_FILES:
            return missing("a page of this viewer", name)
        return FileResponse(STATIC / name, media_type=TABLE_FILES[name])

    async def runs(request: Request) -> Response:
        rows, told = await run_in_threadpool(table.rows)
        text, digest = as_json(rows, table.root, told)
        tag = f'"{digest}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        return Response(text, media_type="application/json", headers={"ETag": tag})

    async def runs_csv(request: Request) -> Response:
        rows, _ = await run_in_threadpool(table.rows)
        asked = {name: request.query_params.get(name, "") for name in ("text", "state",
                                                                        "confidence")}  # fmt: skip
        return Response(
            as_csv(chosen(rows, **asked)),
            media_type="text/csv",
            headers={"Content-Disposition": 'attachment; filename="runs.csv"'},
        )

    async def about(request: Request) -> Response:
        kind, which = _decoded(request.scope).removeprefix(ABOUT_PAGES).split("/", 1)
        found = await run_in_threadpool(find_about, table, kind, which)
        if found is None:
            return missing("an acquisition of this table", which, request.scope)
        return HTMLResponse(about_page(found), headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/about/{kind}/{which:path}", about),
            Route("/static/{name}", static),
            Route("/api/runs", runs),
            Route("/api/runs.csv", runs_csv),
            _AnyName("/runs", pages),
        ],
        exception_handlers={404: _not_found, InputError: _at_fault},
    )


class _AnyName(Mount):
    """Takes whatever is below an address, also names with the end of a line in them."""

    def __init__(self, path: str, app: ASGIApp) -> None:
        super().__init__(path, app)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)


class _PagesOfRuns:
    """Hands a request for ``/runs/PATH/...`` to the pages of the run at this path.

    Parameters
    ----------
    table : RunTable
    run_pages : callable
    """

    def __init__(self, table: RunTable, run_pages: Callable[[Path], PagesOfRun]) -> None:
        self.table, self.run_pages = table, run_pages
        self._kept: OrderedDict[str, PagesOfRun] = OrderedDict()
        self._busy = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = _decoded(scope)
        parts = path.removeprefix(RUNS).split("/")
        found = await run_in_threadpool(self.table.folder_of, parts)
        answer: ASGIApp
        if found is None:
            answer = missing("a run in this folder", "/".join(parts), scope)
        else:
            below, folder = found
            rest = path.removeprefix(f"{RUNS}{below}")
            if rest == "/thumbnail.png":
                answer = await run_in_threadpool(_thumbnail, folder)
            elif rest == "":
                # Addresses on the page are relative to it.
                last = quoted(below.rsplit("/", 1)[-1])
                answer = Response(status_code=308, headers={"Location": f"{last}/"})
            else:
                scope = dict(scope, path=path, root_path=f"{RUNS}{below}")
                try:
                    await run_in_threadpool(require_no_links, folder)
                    answer = await self._pages(below, folder)
                except InputError as error:
                    answer = refusal(error, scope)
        await answer(scope, receive, send)

    async def _pages(self, below: str, folder: Path) -> PagesOfRun:
        """Return the pages of a run; those that were looked at last are kept."""
        async with self._busy:
            if below not in self._kept:
                self._kept[below] = await run_in_threadpool(self.run_pages, folder)
            self._kept.move_to_end(below)
            while len(self._kept) > 1 and self._too_much():
                _, gone = self._kept.popitem(last=False)
                await run_in_threadpool(gone.close)
            return self._kept[below]

    def _too_much(self) -> bool:
        kept = self._kept.values()
        return len(kept) > RUNS_KEPT or sum(pages.bytes for pages in kept) > RUNS_BYTES


def require_no_links(folder: Path) -> None:
    """Check that what is shown of a run lies where it seems to lie.

    Raises
    ------
    InputError
        If its folder, or a part of it, is a link: it may have become one since it was found.
    """
    linked = folder.name if folder.resolve() != folder else link_in(folder)
    if linked:
        raise InputError(
            "results that lie in this folder",
            f"{linked} is a link, which is not followed",
            f"look at what it leads to by itself: orimap view {folder.name}",
        )


def _decoded(scope: Scope) -> str:
    """Return the path that was asked for, with the bytes that names of files have."""
    raw = scope.get("raw_path")
    if not raw:
        return scope["path"]
    return os.fsdecode(unquote_to_bytes(raw.partition(b"?")[0]))


def _thumbnail(folder: Path) -> Response:
    """Return a small map; a link in its place leads nowhere."""
    figure = folder / FIGURE
    try:
        if figure.resolve() != figure or not figure.is_file():
            raise FileNotFoundError(figure)
        return Response(_small(figure, figure.stat().st_mtime_ns), media_type="image/png")
    except Exception:  # whatever is in the file instead of a picture
        return Response(status_code=404)


@lru_cache(maxsize=THUMBNAILS_KEPT)
def _small(figure: Path, _changed: int) -> bytes:
    from orimap.tasks.report.figures.thumbnail import thumbnail

    return thumbnail(figure, THUMBNAIL_PIXELS)


def missing(needed: str, found: str, scope: Scope | None = None) -> Response:
    """Return that something is not here."""
    return refusal(InputError(needed, printable(f"no {found}"), "go back to the first page"), scope,
                   status=404)  # fmt: skip


def refusal(error: InputError, scope: Scope | None, *, status: int = 422) -> Response:
    """Return what is needed, what was found and what to do: as a page, or for a program."""
    facts = {"needed": error.needed, "found": error.found, "remedy": error.remedy}
    accepted = Request(scope).headers.get("accept", "") if scope is not None else ""
    if "text/html" not in accepted:
        return JSONResponse(facts, status)
    words = {name: html.escape(printable(text)) for name, text in facts.items()}
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>orimap</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="/enter/enter.css">'
        "<body><main><h1>This cannot be shown</h1>"
        "<p>Needed: {needed}</p><p>Found: {found}</p><p>What to do: {remedy}</p>"
        '<p><a href="/">All runs</a></p></main></body></html>'
    )
    return HTMLResponse(page.format(**words), status)


async def _not_found(request: Request, _error: Any) -> Response:
    return missing("a page of this viewer", request.url.path, request.scope)


async def _at_fault(request: Request, error: Any) -> Response:
    return refusal(error, request.scope)
