"""What stands before every page: the right host, somebody who may look, no foreign requests.

A page elsewhere could have its own name lead to 127.0.0.1 and have a browser ask here under that
name: so the name that a browser asked for is looked at. Changes are only taken from our own pages.
What a page may load is said with every answer.
"""

import asyncio
import html
import json
import re
from pathlib import Path
from string import Template
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orimap.flows.viewer.entry.access import COOKIE_SECONDS, Access

STATIC = Path(__file__).parents[1] / "static"
HOSTS = {"127.0.0.1", "localhost", "[::1]"}
HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\[\]]+)(?::\d{1,5})?")
METHODS = ("GET", "HEAD", "POST")
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# A report brings its own script and style, made from what is stored in files. It gets an origin of
# its own: whatever is in it cannot ask for anything here.
REPORT = re.compile(r"/(report|comparison)[A-Za-z0-9_.-]*\.html$")
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads allow-modals allow-popups; default-src 'none'; "
    "img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_KEPT = {"Cache-Control": "no-store"}
# Of our own, for the page that asks for the token: all that is given to who is not known yet.
ENTER = "/enter"
ENTER_FILES = {"/enter/enter.css": "text/css", "/enter/enter.js": "text/javascript"}
LARGEST_ANSWER_BYTES = 4096
# A wrong token is answered after a second, and no more than these wait at a time.
WRONG_SECONDS = 1.0
WRONG_AT_ONCE = 8


class Guard:
    """Lets through to an application who may look, and says what pages may load.

    Parameters
    ----------
    app : ASGI application
    access : Access
    ask : str
        The command that prints the token, for the page that asks for it.
    """

    def __init__(self, app: ASGIApp, access: Access, *, ask: str = "orimap view --token") -> None:
        self.app = app
        self.access = access
        self.ask = ask
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            send = _with_headers(send, scope["path"])
            answer = await self._refusal(scope, receive)
            await (answer or self.app)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """Return the answer to whoever is not let through, None where there is nothing to say."""
        request = Request(scope, receive)
        if not own_host(request.headers):
            return _refused(421, "a request for 127.0.0.1 or localhost", "another host",
                            "open the address that orimap view printed")  # fmt: skip
        if request.method not in METHODS:
            return _refused(405, "a request to look, or to write a revision", request.method,
                            "use the pages of the viewer")  # fmt: skip
        if request.method == "POST" and not from_own_page(request.headers):
            return _refused(403, "a change asked for by a page of this viewer",
                            "a request from elsewhere", "use the pages of the viewer")  # fmt: skip
        if scope["path"] == "/favicon.ico":  # browsers ask for one with whatever is no page of ours
            return Response(status_code=204)
        if scope["path"] == ENTER or scope["path"].startswith(f"{ENTER}/"):
            return await self._enter(request)
        if self._is_known(request):
            return None
        asked = self._ask_for_token(request)
        # A token that is given and wrong is a try, whichever way it comes.
        return await self._wrong(asked) if "authorization" in request.headers else asked

    def _is_known(self, request: Request) -> bool:
        """Return whether a browser has a cookie of ours, or a program gives the token."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.access.is_token(given):
            return True
        return self.access.is_cookie(request.cookies.get(self.access.cookie_name, ""))

    async def _enter(self, request: Request) -> Response:
        """Answer what somebody may ask who is not known yet."""
        path = request.url.path
        if path in ENTER_FILES and request.method != "POST":
            return FileResponse(STATIC / Path(path).name, media_type=ENTER_FILES[path])
        if path == f"{ENTER}/known":
            # A link from a mail comes without the cookie, a request of our own page with it.
            return JSONResponse({"known": self._is_known(request)}, headers=NOT_KEPT)
        if path != ENTER:
            return _refused(404, "a page of this viewer", path, "go back to its first page")
        if request.method == "POST":
            return await self._take_token(request)
        if request.method == "GET" and "code" in request.query_params:
            return await self._take_code(request)
        return self._ask_for_token(request)

    async def _take_token(self, request: Request) -> Response:
        """Let in who knows the token."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_ANSWER_BYTES:
                break
        try:
            given = str(json.loads(body)["token"]) if len(body) <= LARGEST_ANSWER_BYTES else ""
        except (ValueError, KeyError, TypeError, RecursionError):
            given = ""
        if self.access.is_token(given):
            return self._let_in(Response(status_code=204))
        return await self._wrong(
            _refused(403, "the token of this viewer", "another text", f"get it with: {self.ask}")
        )

    async def _take_code(self, request: Request) -> Response:
        """Let in the browser that comes with the code of this start, and send it on."""
        if self.access.use_code(request.query_params["code"]):
            # No redirection: a browser sends a strict cookie only where one of our own pages asks.
            return self._let_in(_page("entered", 200))
        if self._is_known(request):
            return _page("entered", 200)
        return await self._wrong(self._ask_for_token(request, "This address has been used already, "
                                                     "or is too old: it works once."))  # fmt: skip

    async def _wrong(self, answer: Response) -> Response:
        """Take a second to answer what was wrong, so that nobody tries many."""
        if self._waiting >= WRONG_AT_ONCE:
            return _refused(429, "one try after the other", f"{self._waiting} at a time",
                            "wait a few seconds")  # fmt: skip
        self._waiting += 1
        try:
            await asyncio.sleep(WRONG_SECONDS)
        finally:
            self._waiting -= 1
        return answer

    def _let_in(self, answer: Response) -> Response:
        answer.set_cookie(
            self.access.cookie_name, self.access.cookie(), max_age=COOKIE_SECONDS, path="/",
            httponly=True, samesite="strict",
        )  # fmt: skip
        return answer

    def _ask_for_token(self, request: Request, why: str = "") -> Response:
        """Return the page that asks for the token, or words where no page is wanted."""
        if "text/html" not in request.headers.get("accept", ""):
            return _refused(401, "the token of this viewer", "none, or one that has expired",
                            f"open its page again, or get the token with: {self.ask}")  # fmt: skip
        # Other users of the machine see this page: it names no account and no folder.
        return _page("asked", 401, why=why, ask=self.ask)


def own_host(headers: Headers) -> bool:
    """Return whether a browser asked for this machine by a name that is always its own."""
    given = headers.getlist("host")
    matched = HOST.fullmatch(given[0]) if len(given) == 1 else None
    return matched is not None and matched[1].lower() in HOSTS


def from_own_page(headers: Headers) -> bool:
    """Return whether a change is asked for by one of our own pages, and as JSON.

    A form of another page cannot send JSON; browsers say where a request comes from.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return False
    fetched, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if fetched is not None and fetched != "same-origin":
        return False
    if origin is not None:
        return origin.lower() == f"http://{headers['host'].lower()}"
    # Programs say neither; they have to give the token with each request.
    return fetched is not None or "authorization" in headers


def _with_headers(send: Send, path: str) -> Send:
    """Return what sends an answer together with what holds for all of them."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            usual = REPORT_POLICY if REPORT.search(path) else PAGE_POLICY
            policy = headers.get("content-security-policy", usual)
            if "frame-ancestors" not in policy:
                policy += "; frame-ancestors 'none'"
            headers["Content-Security-Policy"] = policy
            kept = headers.get("cache-control", "no-cache")
            if "private" not in kept and "no-store" not in kept:
                headers["Cache-Control"] = f"private, {kept.replace('public', '').strip(', ')}"
        await send(message)

    return sending


def _page(state: str, status: int, **words: str) -> Response:
    """Return the page that asks for the token, or that sends on who was let in."""
    template = Template((STATIC / "enter.html").read_text(encoding="utf-8"))
    known: dict[str, Any] = {"why": "", "ask": "", **words}
    page = template.substitute(
        {name: html.escape(text) for name, text in known.items()}, state=state
    )
    return HTMLResponse(page, status, NOT_KEPT)


def _refused(status: int, needed: str, found: str, remedy: str) -> Response:
    """Return a refusal as all of ours are."""
    facts = {"needed": needed, "found": found, "remedy": remedy}
    return JSONResponse(facts, status, NOT_KEPT)
