"""``orimap up`` and ``orimap down``: everything on one machine."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from orimap.flows.cli.answers import Debug, answers
from orimap.flows.cli.watch import STATE
from orimap.tasks.errors import InputError

PORT = 4200
DOWN_SECONDS = 30


Results = Annotated[Path, typer.Option(help="Folder for the results of all acquisitions")]
State = Annotated[
    Path | None,
    typer.Option(
        help="Folder for database, journal and logs, on a disk of this machine [RESULTS/.orimap]"
    ),
]


@answers
def up(
    *,
    watch: Annotated[Path, typer.Option(help="The folder that acquisitions appear in")],
    results: Results,
    state: State = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of Prefect's page")] = PORT,
    watch_options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- OPTIONS]", help="Further options of orimap watch, after --"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Bring up everything on this machine: every acquisition is analysed as it appears.

    Starts Prefect's server (on loopback), a worker and the watcher, and starts again what dies;
    Ctrl-C, SIGTERM or orimap down end all of it. A second call finds what is up.
    """
    from orimap.flows.machine.up import Site, bring_up, running

    folder = (state or results / STATE).resolve()
    there = running(folder)
    if there is not None:
        print(f"already up: {there['address']} (watching {there['watched']})")
        return
    # Told to end by a service manager or orimap down, it has ended well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    site = Site(watch.resolve(), results.resolve(), folder, port, tuple(watch_options or ()))
    bring_up(site, lambda text: print(text, file=sys.stderr, flush=True))


@answers
def down(*, results: Results, state: State = None, debug: Debug = False) -> None:
    """End what orimap up has brought up; runs that are under way go on at the next start."""
    from orimap.flows.machine.up import running

    folder = (state or results / STATE).resolve()
    there = running(folder)
    if there is None:
        print("nothing is up")
        return
    os.kill(there["pid"], signal.SIGTERM)
    last = time.monotonic() + DOWN_SECONDS
    while running(folder) is not None:
        if time.monotonic() > last:
            raise InputError(
                f"the end of process {there['pid']} within {DOWN_SECONDS} s",
                "it is still there",
                f"look into {folder / 'logs'}, or end it by hand",
            )
        time.sleep(0.2)
    print("down")
