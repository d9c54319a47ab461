"""The commands for one machine: up, down, doctor, cluster check."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orimap.flows.cli.answers import Debug, answers
from orimap.flows.cli.options import (
    NAMED_VALUES,
    SETTINGS,
    STATE,
    Command,
    Group,
    KnownResults,
    Results,
    complete_profiles,
    completing,
    state_folder,
)
from orimap.tasks.errors import FAILED, InputError
from orimap.tasks.lines import say

if TYPE_CHECKING:
    from orimap.cluster.batch.profiles import Profile
    from orimap.cluster.check import Finding

# Of the folder that is tried: a worker's own files, gone afterwards.
CHECK_FOLDER = ".orimap-check-"
cluster = typer.Typer(
    help="The workers that runs are computed on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)

PORT, LAST_PORT = 4200, 65535
DOWN_SECONDS = 30

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
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's page")] = PORT,
    view_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the viewer [the one after Prefect's]"),
    ] = None,
    group: Group = None,
    watch_options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- OPTIONS]", help="Further options of orimap watch, after --"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Start everything on this machine: every acquisition is analysed as it appears.

    Starts Prefect's server (on loopback), a worker, the watcher and the viewer (orimap view), and
    starts again what dies; Ctrl-C, SIGTERM or orimap down end all of it. A second call finds what
    is up.
    """
    from orimap.flows.machine.up import Site, bring_up, running

    folder = state_folder(results, state)
    there = running(folder)
    if there is not None:
        say(f"already up: {there['address']} (watching {there['watched']})")
        if "viewer" in there:  # not of an earlier version
            say(f"results: {there['viewer']}")
        return
    # Told to end by a service manager or orimap down, it has ended well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    site = Site(
        watch.resolve(), results.resolve(), folder, port, view_port or port_after(port),
        tuple(watch_options or ()), group,
    )  # fmt: skip
    bring_up(site, lambda text: say(text, stream=sys.stderr))


def port_after(port: int) -> int:
    """Return the port of the viewer where none is given: the next one to that of Prefect."""
    return port + 1 if port < LAST_PORT else port - 1


@answers
def down(*, results: KnownResults = None, state: State = None, debug: Debug = False) -> None:
    """Stop what orimap up has started; runs that are under way continue at the next start."""
    from orimap.flows.machine.up import running

    folder = state_folder(results, state)
    there = running(folder)
    if there is None:
        say("nothing is running")
        return
    os.kill(there["pid"], signal.SIGTERM)
    last = time.monotonic() + DOWN_SECONDS
    while running(folder) is not None:
        if time.monotonic() > last:
            raise InputError(
                f"the end of process {there['pid']} within {DOWN_SECONDS} s",
                "it is still there",
                f"look into {folder / 'logs'}, or end the process by hand",
            )
        time.sleep(0.2)
    say("down")


@answers
def doctor(
    watch: Annotated[Path | None, typer.Option(help="Folder that acquisitions arrive in")] = None,
    results: Annotated[Path | None, typer.Option(help="Folder of all results")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of journal and server [RESULTS/.orimap]")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the Prefect server of orimap up")] = PORT,
    view_port: Annotated[
        int | None,
        typer.Option(help="Port of the viewer of orimap up [the one after Prefect's]"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Check versions, folders, rights, disk, clocks and ports; say what is wrong and what to do.

    Exit code 1 if something is wrong. Workers are tried by orimap cluster check.
    """
    from orimap.flows.machine.doctor import examine

    if state is None and results is not None:
        state = results / STATE
    wrong = 0
    for finding in examine(
        watch=watch, results=results, state=state, port=port,
        view_port=view_port or port_after(port),
    ):  # fmt: skip
        say(f"{finding.state:<6} {finding.what:<16} {finding.found}")
        if finding.state != "ok":
            say(f"{'':<23} what to do: {finding.remedy}")
        wrong += finding.state == "wrong"
    if wrong:
        raise typer.Exit(FAILED)


@cluster.callback()
def _cluster() -> None:
    pass


@cluster.command(cls=Command)
@answers
def check(
    system: Annotated[
        str,
        typer.Option(
            "--cluster",
            metavar="local|ADDRESS|SYSTEM",
            help="As for orimap run",
            autocompletion=completing(*NAMED_VALUES["cluster"]),
        ),
    ] = "local",
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Site profile, as for orimap run",
            autocompletion=complete_profiles,
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where results are to go, seen by all machines")
    ] = Path(),
    file: Annotated[
        Path | None, typer.Option(help="An acquisition that workers are to read")
    ] = None,
    first_worker_minutes: Annotated[
        float, typer.Option(help="How long the batch system may take for the worker")
    ] = 10.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the job script of a worker")
    ] = False,
    debug: Debug = False,
) -> None:
    """Start one worker and try versions, folders, memory, network and clock.

    Exit code 1 if something is wrong.
    """
    from orimap.cluster.client import check_cluster

    site = check_cluster(system, workers=1, profile=profile)
    if not folder.is_dir():
        raise InputError("a folder for results", f"no folder {folder}", "make it, or give another")
    if dry_run:
        _print_script(site, folder)
        return
    wrong = 0
    for finding in _findings(system, profile, site, folder, file, first_worker_minutes):
        say(f"{'ok' if finding.ok else 'wrong':<6} {finding.what:<9} {finding.found}")
        if not finding.ok:
            say(f"{'':<16} what to do: {finding.remedy}")
        wrong += not finding.ok
    if wrong:
        raise typer.Exit(FAILED)


def _print_script(site: "Profile | None", folder: Path) -> None:
    """Print what the batch system would get for a worker."""
    from orimap.cluster.batch.scripts import worker_script

    if site is None:
        raise InputError("a site profile with --dry-run", "none", "add --profile NAME")
    with tempfile.TemporaryDirectory(prefix=CHECK_FOLDER, dir=folder) as own:
        script = worker_script(site, name="orimap-worker", folder=Path(own).absolute())
        say(*script.splitlines())


def _findings(
    system: str,
    profile: str | None,
    site: "Profile | None",
    folder: Path,
    file: Path | None,
    first_worker_minutes: float,
) -> Iterator["Finding"]:
    """Open one worker and look at it; a worker that does not come is a finding as well."""
    from orimap.cluster.batch.profiles import memory_of_a_process
    from orimap.cluster.check import Finding, check_worker
    from orimap.cluster.client import open_client

    begun = time.monotonic()
    with tempfile.TemporaryDirectory(
        prefix=CHECK_FOLDER, dir=folder, ignore_cleanup_errors=True
    ) as own:
        opened = open_client(
            system,
            workers=1,
            profile=profile,
            folder=Path(own).absolute(),
            first_worker_minutes=first_worker_minutes,
            note=lambda text: say(text, stream=sys.stderr),
        )
        try:
            with opened as client:
                started = f"started within {time.monotonic() - begun:.0f} s"
                yield Finding("start", True, started)
                asked = memory_of_a_process(site) if site is not None else None
                yield from check_worker(client, folder, file=file, memory_bytes=asked)
        except InputError as error:
            yield Finding.wrong("start", error)
