"""The commands of unattended operation: watch a folder, look at what is known, analyse again."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orimap.flows.cli.answers import Debug, answers
from orimap.flows.cli.options import Config, with_request_options
from orimap.tasks.errors import FAILED, InputError

if TYPE_CHECKING:
    from orimap.flows.jobs.job import Submitter
    from orimap.flows.watch.journal import Entry, Journal
    from orimap.flows.watch.watched_folder import Watching

# In the folder of results, unless --state says otherwise.
STATE = ".orimap"
PLACES = ("embedded", "prefect", "batch")
# What the watcher decides for every acquisition.
DECIDED = ("file", "output", "restart")

Results = Annotated[Path, typer.Option(help="Folder for the results of all acquisitions")]
State = Annotated[
    Path | None,
    typer.Option(help="Folder for the journal, on a disk of this machine [RESULTS/.orimap]"),
]


@answers
def watch(
    *,
    folder: Annotated[Path, typer.Argument(help="The folder that acquisitions appear in")],
    results: Results,
    state: State = None,
    settle: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Without any change until a file counts as written", min=0
        ),
    ] = 3.0,
    poll: Annotated[
        float, typer.Option(metavar="SECONDS", help="Between two looks at the folder", min=0.1)
    ] = 5.0,
    patience: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Without any change until what is incomplete is put aside",
        ),
    ] = 3600.0,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Take only names like this (*.blo); may be repeated"),
    ] = None,
    newest_first: Annotated[
        bool, typer.Option("--newest-first", help="Analyse the newest first, not the oldest")
    ] = False,
    disk_floor: Annotated[
        str,
        typer.Option(metavar="SIZE", help='Hand nothing over with less free for results, "20 GB"'),
    ] = "1 GB",
    config: Config = None,
    submit_to: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(PLACES),
            help="Who analyses: this process, Prefect, a batch system [prefect where an API is "
            "configured, else embedded]",
        ),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Analyse here, one after the other; no server")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="End when nothing is left to do; 1 if anything failed")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what is there and what would be done")
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
        disk_floor_bytes=_bytes(disk_floor),
    )  # fmt: skip
    if dry_run:
        _tell_what_would_be_done(watching)
        return
    where = submit_to or ("embedded" if embedded else _configured())
    failed = _watch(watching, where, once=once)
    if once and failed:
        raise typer.Exit(FAILED)


def _watching(
    folder: Path, results: Path, state: Path | None, config: Path | None, **how: Any
) -> "Watching":
    """Check folders and options before anything is begun."""
    from orimap.flows.request.config import read_config
    from orimap.flows.request.request import Request
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
    options = read_config(config) if config else {}
    for name in DECIDED:
        if name in options:
            raise InputError(
                "options of every analysis",
                f"{name} in {config}",
                f"take it out: orimap watch decides {name}",
            )
    Request.read(**{**options, "file": folder, "output": results})
    place = (state or results / STATE).resolve()
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
    """Return where jobs go if nobody says."""
    from orimap.flows.prefect.configured import configured_api

    return "embedded" if configured_api() is None else "prefect"


def _watch(watching: "Watching", where: str, *, once: bool) -> bool:
    """Watch until told to stop; return whether anything ended badly."""
    from orimap.flows.jobs.embedded import EmbeddedSubmitter
    from orimap.flows.jobs.notify import tell_put_aside
    from orimap.flows.watch.journal import JOURNAL, Journal
    from orimap.flows.watch.one_watcher import network_file_system, only_watcher
    from orimap.flows.watch.watcher import Watcher
    from orimap.tasks.acquire.arrivals.opening_test import OpeningTest

    _make(watching.results)
    _make(watching.state)
    network = network_file_system(watching.state)
    if network is not None:
        _note(
            f"the journal lies on a network folder ({network}), where SQLite is not safe: give "
            "--state DIR on a disk of this machine"
        )
    submitter = _submitter(where, watching)
    running = submitter if isinstance(submitter, EmbeddedSubmitter) else nullcontext()
    with (
        only_watcher(watching.state),
        Journal(watching.state / JOURNAL) as journal,
        running,
        OpeningTest() as opens,
    ):
        _only_this_folder(journal, watching.folder)
        began = len(journal.entries("failed", "quarantined"))
        watcher = Watcher(
            watching, journal, submitter, opens, note=_note,
            announce=lambda entry: tell_put_aside(entry.title, entry.reason, _note),
        )  # fmt: skip
        _note(f"watching {watching.folder}; results in {watching.results}; analysed by: {where}")
        with _stopped_by_signals(watcher.wake) as stop:
            watcher.run(stop, once=once)
        held = journal.meta("held")
        return bool(held) or len(journal.entries("failed", "quarantined")) > began


def _make(folder: Path) -> None:
    """Make a folder to write into."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"a folder that can be written ({folder})",
            error.strerror or str(error),
            "choose another one with --results or --state, or mend its permissions",
        ) from error


def _submitter(where: str, watching: "Watching") -> "Submitter":
    """Return who takes the jobs."""
    if where == "embedded":
        from orimap.flows.jobs.embedded import EmbeddedSubmitter

        return EmbeddedSubmitter(watching.state)
    if where == "prefect":
        from orimap.flows.prefect.submitter import PrefectSubmitter

        return PrefectSubmitter()
    if where == "batch":
        from orimap.cluster.batch.profiles import read_profile
        from orimap.flows.jobs.batch import BatchSubmitter

        if "profile" not in watching.options:
            raise InputError(
                "a site profile for the batch system",
                "none among the options",
                "write profile: NAME into the file that --config names",
            )
        # Seen by the machines that compute, as the journal on a disk of this one is not.
        folder = watching.results / STATE / "batch"
        return BatchSubmitter(read_profile(watching.options["profile"]), folder)
    raise InputError(f"one of {', '.join(PLACES)}", f"--submit-to {where}", "choose one of them")


def _only_this_folder(journal: "Journal", folder: Path) -> None:
    """Names in a journal are those in one folder."""
    known = journal.meta("folder")
    if known and known != str(folder):
        raise InputError(
            f"the journal of {folder}",
            f"{journal.path} is that of {known}",
            "give each watched folder its own --results",
        )
    journal.set_meta("folder", str(folder))


@contextmanager
def _stopped_by_signals(wake: threading.Event) -> Iterator[threading.Event]:
    """Give an event that Ctrl-C or SIGTERM sets; a second Ctrl-C does not wait."""
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()
        wake.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.is_set():
        _note("stopped; the next start goes on")


def _note(line: str) -> None:
    """Write a line to the log."""
    print(line, file=sys.stderr, flush=True)


def _tell_what_would_be_done(watching: "Watching") -> None:
    """Look twice, as far apart as a file takes to settle, and print what was found."""
    import time

    from orimap.flows.cli.answers import print_table
    from orimap.flows.watch.intake import open_as_asked
    from orimap.flows.watch.journal import JOURNAL, Journal
    from orimap.tasks.acquire.arrivals.finished import Finishing
    from orimap.tasks.acquire.arrivals.opening_test import OpeningTest

    latest: dict[str, Entry] = {}
    if (watching.state / JOURNAL).is_file():
        with Journal(watching.state / JOURNAL, make=False) as journal:
            latest = journal.latest()
    with OpeningTest() as opens:
        finishing = Finishing(
            watching.folder, lambda arrival: open_as_asked(watching, opens, arrival),
            settle_seconds=watching.settle_seconds, unsure_times=1,
        )  # fmt: skip
        for arrival in watching.look(lambda path, why: _note(f"{path} {why}")):
            finishing.judge(arrival, time.monotonic())
        time.sleep(watching.settle_seconds)
        rows = []
        for arrival in watching.look(lambda path, why: None):
            name = watching.name(arrival)
            known = latest.get(name)
            if known is not None and known.signature == arrival.signature:
                rows.append((name, known.state, known.reason))
                continue
            judged = finishing.judge(arrival, time.monotonic())
            words = judged.words
            if judged.state == "settled":
                revision = 1 if known is None else known.revision + 1
                words = f"would be analysed into {watching.output(name, revision)}"
            rows.append((name, judged.state, words))
    print_table(("name", "state", ""), rows)
    print("nothing was written; without --dry-run what is settled would be analysed")


@answers
def status(
    *,
    results: Results,
    state: State = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also files that hold no scan of patterns")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    debug: Debug = False,
) -> None:
    """List the acquisitions of a watched folder, and how each stands."""
    import json

    from orimap.flows.cli.answers import print_table
    from orimap.flows.watch.journal import JOURNAL, Journal
    from orimap.flows.watch.one_watcher import watcher_process

    place = (state or results / STATE).resolve()
    with Journal(place / JOURNAL, make=False) as journal:
        entries, held = journal.entries(), journal.meta("held")
        folder = journal.meta("folder")
    process = watcher_process(place)
    shown = [entry for entry in entries if everything or entry.state != "not a scan"]
    if as_json:
        found = {"folder": folder, "watcher": process, "held": held}
        print(json.dumps({**found, "acquisitions": [_facts(entry) for entry in shown]}, indent=2))
        return
    print(f"{folder}: {f'watched by process {process}' if process else 'nobody watches'}")
    if held:
        print(f"held: {held}")
    rows = [
        (e.id, e.name, str(e.revision), e.state, e.since[:19].replace("T", " "), e.reason,
         str(e.job.output) if e.job_text else "")
        for e in shown
    ]  # fmt: skip
    print_table(("id", "name", "rev", "state", "since (UTC)", "reason", "results"), rows)
    hidden = len(entries) - len(shown)
    if hidden:
        print(f"{hidden} more hold no scan of patterns: --all lists them")


def _facts(entry: "Entry") -> dict[str, Any]:
    """Return an entry for programs."""
    names = ("id", "name", "revision", "state", "since", "reason", "decided_k", "confidence")
    facts = {name: getattr(entry, name) for name in names}
    return {**facts, "results": str(entry.job.output) if entry.job_text else None}


@partial(with_request_options, without=("file", "output", "orchestrate"), stored=True)
@answers
def replay(
    *,
    acquisition: Annotated[
        str, typer.Argument(metavar="ID", help="As orimap status tells it; or a name")
    ],
    results: Results,
    state: State = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done")] = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Analyse an acquisition again, with other options or just once more.

    The watcher hands it over: the one that runs, or the next that is started. What was put aside
    is looked at again. Options that are not given stay as they were.
    """
    from orimap.flows.watch.journal import JOURNAL, Journal
    from orimap.flows.watch.one_watcher import watcher_process
    from orimap.flows.watch.replay import replay_entry

    place = (state or results / STATE).resolve()
    changes = {name: value for name, value in options.items() if value is not None}
    with Journal(place / JOURNAL, make=False) as journal:
        entry = journal.find(acquisition)
        print(replay_entry(journal, entry, changes, dry_run=dry_run))
    if dry_run:
        print("nothing was changed")
    elif watcher_process(place) is None:
        print("nobody watches now: start orimap watch, and it is done")
