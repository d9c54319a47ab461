"""Serve pages on this machine's loopback, until Ctrl-C or SIGTERM, and open a browser."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from orimap.tasks.errors import InputError, words_of

LOOPBACK = "127.0.0.1"
# Tried first where no port is asked for, so that the command for a tunnel stays the same.
PREFERRED_PORT = 4210
# What is asked for is answered; a browser that keeps a connection open is not waited for.
END_SECONDS = 3
OPENING = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>orimap</title>
<p><a href="{address}">Look at the results</a></p>
"""


def listen(port: int | None) -> socket.socket:
    """Return a socket on loopback that listens.

    Parameters
    ----------
    port : int or None
        None for the usual one or, where that is taken, any that is free.

    Raises
    ------
    InputError
        If the port that was asked for is taken.
    """
    for tried in (PREFERRED_PORT, 0) if port is None else (port,):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((LOOPBACK, tried))
            listening.listen(128)
        except OSError as error:
            listening.close()
            if port is not None:
                raise InputError(
                    f"the port {port} for the viewer",
                    words_of(error),
                    "end what uses it, or give another with --port; without --port a free one "
                    "is taken",
                ) from error
        else:
            return listening
    raise InputError(
        "a free port on this machine", "none", "end some programs that listen, and try again"
    )


def address_of(listening: socket.socket) -> str:
    """Return the address of what is served on a socket, with a slash at its end."""
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}/"


def serve(app: ASGIApp, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve an application until this process is told to end; the socket is closed then.

    Parameters
    ----------
    app : ASGI application
    listening : socket
    ready : callable
        Called once requests are answered.
    """
    # No log of what is asked for: it would name files, and whoever reads it is not asked who he is.
    config = uvicorn.Config(
        app, ws="none", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=END_SECONDS,
    )  # fmt: skip
    server = _Server(config, ready)
    with listening:
        asyncio.run(server.serve(sockets=[listening]))


class _Server(uvicorn.Server):
    """A server that says when it is ready, and ends by signals without passing them on."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Heed Ctrl-C and SIGTERM while it serves; a second Ctrl-C does not wait.

        Uvicorn itself would send this process once more the signal that has ended it.
        """

        def heed(number: int, _frame: FrameType | None) -> None:
            self.force_exit = self.should_exit and number == signal.SIGINT
            self.should_exit = True

        heeded = [
            number
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, heed) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def browser_is_there() -> bool:
    """Return whether a browser can be opened here: one with windows, or the one that is named."""
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


@contextmanager
def open_browser(address: str, folder: Path) -> Iterator[Callable[[], None]]:
    """Give what opens a browser at an address that nobody else may learn.

    The address is in a file that this account alone can read: what a process is started with is
    seen by all users. The file is removed at the end.

    Parameters
    ----------
    address : str
    folder : Path
        Of the file.
    """
    page = folder / f"open-{os.getpid()}-{secrets.token_hex(8)}.html"

    def start() -> None:
        descriptor = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(OPENING.format(address=address))
        # Some browsers keep who starts them waiting.
        threading.Thread(target=_open, args=(page.as_uri(),), daemon=True).start()

    try:
        yield start
    finally:
        page.unlink(missing_ok=True)


def _open(address: str) -> None:
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(address)
