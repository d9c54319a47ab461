"""The command that watches a folder: its options, and where its jobs go."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orimap.flows.cli.answers import Debug, answers, print_table
from orimap.flows.cli.options import (
    STATE,
    Config,
    Group,
    Results,
    State,
    completing,
    state_folder,
)
from orimap.tasks.errors import FAILED, InputError
from orimap.tasks.lines import say

if TYPE_CHECKING:
    from orimap.flows.jobs.job import Submitter
    from orimap.flows.watch.watched_folder import Watching

PLACES = ("embedded", "prefect", "batch")
# What the watcher decides for every acquisition.
DECIDED = ("file", "output", "restart")


@answers
def watch(
    *,
    folder: Annotated[Path, typer.Argument(help="The folder that acquisitions appear in")],
    results: Results,
    state: State = None,
    settle: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Seconds without change before a file counts as written", min=0
        ),
    ] = 3.0,
    poll: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Seconds between two looks at the folder", min=0.1),
    ] = 5.0,
    patience: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Seconds without change before an incomplete acquisition is quarantined",
        ),
    ] = 3600.0,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Take only names like this (*.blo); may be repeated"),
    ] = None,
    newest_first: Annotated[
        bool, typer.Option("--newest-first", help="Analyse the newest first, not the oldest")
    ] = False,
    group: Group = None,
    disk_floor: Annotated[
        str,
        typer.Option(
            metavar="SIZE", help='Start nothing with less disk space free for results, "20 GB"'
        ),
    ] = "1 GB",
    config: Config = None,
    submit_to: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(PLACES),
            help="Who analyses: this process, Prefect, a batch system [prefect where an API is "
            "configured, else embedded]",
            autocompletion=completing(*PLACES),
        ),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Analyse here, one after the other; no server")
    ] = False,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Stop when nothing is left to do; exit code 1 if anything failed"
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what is there and what would be done")
    ] = False,
    debug: Debug = False,
) -> None:
    """Analyse every acquisition that appears in a folder, once, when it is finished.

    Finished is what its format says is whole, with all its companions, when nothing has changed
    for a while and it can be opened. Options of one acquisition can stand beside it, in
    NAME.orimap.yaml. Raw data are only read. Ctrl-C ends it; the next start goes on.
    """
    if embedded and submit_to not in (None, "embedded"):
        raise InputError(
            "one place to analyse",
            f"--embedded and --submit-to {submit_to}",
            "give one of them",
        )
    watching = _watching(
        folder, results, state, config, settle_seconds=settle, poll_seconds=poll,
        patience_seconds=patience, include=tuple(include or ()), newest_first=newest_first,
        disk_floor_bytes=_bytes(disk_floor), group=group,
    )  # fmt: skip
    from orimap.flows.watch.start import watch_folder, what_would_be_done

    if dry_run:
        print_table(("name", "state", ""), what_would_be_done(watching, _note))
        say("nothing was written; without --dry-run what is settled would be analysed")
        return
    where = submit_to or ("embedded" if embedded else _configured())
    failed = watch_folder(
        watching, lambda: _submitter(where, watching), _note, where=where, once=once
    )
    if once and failed:
        raise typer.Exit(FAILED)


def _watching(
    folder: Path, results: Path, state: Path | None, config: Path | None, **how: Any
) -> "Watching":
    """Check folders and options before anything is begun."""
    from orimap.flows.request.config import read_config
    from orimap.flows.request.request import Request, with_files
    from orimap.flows.watch.watched_folder import Watching

    folder, results = folder.resolve(), results.resolve()
    if not folder.is_dir():
        raise InputError(
            "a folder to watch",
            f"{folder} is {'a file' if folder.exists() else 'not there'}",
            "check the spelling and that the disk is mounted",
        )
    if folder.is_relative_to(results):
        raise InputError(
            "results apart from the acquisitions, which are only read",
            f"{folder} lies in --results {results}",
            "give another folder with --results",
        )
    options: dict[str, Any] = {}
    if config is not None:
        written = read_config(config)
        for name in DECIDED:
            if name in written:
                raise InputError(
                    "options of every analysis",
                    f"{name} in {config}, line {written.lines[name]}",
                    f"remove it: orimap watch decides {name}",
                )
        written.check()
        options |= written
    # Whoever performs a job may stand elsewhere.
    options = with_files(options, lambda path: Path(path).resolve())
    request = Request.read(**{**options, "file": folder, "output": results})
    if request.crystals:
        from orimap.flows.pipeline.plan import indexing_of

        indexing_of(request)
    place = state_folder(results, state)
    return Watching(folder=folder, results=results, state=place, options=options, **how)


def _bytes(text: str) -> int:
    """Return a size in bytes."""
    from dask.utils import parse_bytes

    try:
        return parse_bytes(text)
    except (ValueError, AttributeError) as error:
        raise InputError(
            "a size", f"--disk-floor {text}", 'give for instance --disk-floor "20 GB"'
        ) from error


def _configured() -> str:
    """Return where jobs go by default."""
    from orimap.flows.prefect.configured import configured_api

    return "embedded" if configured_api() is None else "prefect"


def _submitter(where: str, watching: "Watching") -> "Submitter":
    """Return the submitter that takes the jobs."""
    if where == "embedded":
        from orimap.flows.jobs.embedded import EmbeddedSubmitter

        return EmbeddedSubmitter(watching.state, watching.roots)
    if where == "prefect":
        from orimap.flows.prefect.submitter import PrefectSubmitter

        return PrefectSubmitter()
    if where == "batch":
        from orimap.cluster.batch.profiles import read_profile
        from orimap.flows.jobs.batch import BatchSubmitter
        from orimap.flows.jobs.privacy import rights_left

        if "profile" not in watching.options:
            raise InputError(
                "a site profile for the batch system",
                "none among the options",
                "write profile: NAME into the file that --config names",
            )
        # Seen by the machines that compute, as the journal on a disk of this one is not.
        folder = watching.results / STATE / "batch"
        profile = read_profile(watching.options["profile"])
        umask = rights_left(watching.group)
        return BatchSubmitter(profile, folder, roots=watching.roots, umask=umask)
    raise InputError(f"one of {', '.join(PLACES)}", f"--submit-to {where}", "choose one of them")


def _note(line: str) -> None:
    """Write a line to the log."""
    say(line, stream=sys.stderr)
