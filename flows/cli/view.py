"""The command that shows results in a browser: view."""

import os
import shlex
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from orimap.flows.cli.answers import Debug, answers
from orimap.flows.cli.options import state_folder
from orimap.tasks.errors import InputError
from orimap.tasks.lines import say


@answers
def view(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR|ROOT", help="Folder of a run, or one with the folders of many runs in it"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port on this machine [4210, or a free one where it is taken]"
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Folder that was given to orimap watch or up as --state: its journal, and a token "
            "of its own [ROOT/.orimap; the token in ~/.local/state/orimap]"
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no browser, only print the address")
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Let nobody save corrections (revisions)")
    ] = False,
    token: Annotated[
        bool, typer.Option("--token", help="Only print the token, for a browser that asks for it")
    ] = False,
    debug: Debug = False,
) -> None:
    """Look at results in a browser: one run, or a table of all runs in a folder.

    Maps, patterns, virtual images, corrections by hand. The pages are on this machine alone
    (127.0.0.1), and shown only to those who know a token; the browser that this command opens
    needs none. Ctrl-C ends it.
    """
    from orimap.flows.viewer.entry.access import Access, access_folder, read_token

    folder = access_folder(None if state is None else state.absolute())
    if token:
        say(read_token(folder))
        return
    if directory is None:
        raise InputError(
            "the folder of a run, or a folder of many runs", "none", "orimap view results"
        )
    from orimap.flows.viewer.app import find_place, viewer
    from orimap.flows.viewer.entry.serve import (
        address_of,
        browser_is_there,
        listen,
        open_browser,
        serve,
    )

    place = find_place(directory, state_folder(directory, state))
    access = Access(folder)
    given = "" if state is None else f" --state {shlex.quote(str(state.absolute()))}"
    ask = f"orimap view --token{given}"
    # What other users of this machine can read as well names no folder.
    app = viewer(place, access, writable=not read_only, ask="orimap view --token"
                 + (" --state DIR" if given else ""))  # fmt: skip
    listening = listen(port)
    address = address_of(listening)
    wanted = not no_browser and browser_is_there()
    with open_browser(f"{address}enter?code={access.code()}", folder) as start:

        def ready() -> None:
            say(f"{directory}: {address} (Ctrl-C ends it)")
            # What is printed for a person at a terminal would stay in a log.
            if sys.stdout.isatty():
                say(f"to open it by hand, once, within 10 minutes: {address}enter?code="
                      f"{access.code()}")  # fmt: skip
            else:
                say(f"get the token with: {ask}")
            if "SSH_CONNECTION" in os.environ:
                number = listening.getsockname()[1]
                tunnel = f"ssh -L {number}:127.0.0.1:{number} {socket.getfqdn()}"
                say(f"from the machine where you sit, first: {tunnel}")
            if wanted:
                start()

        serve(app, listening, ready)
    say("ended")
