"""The commands on the acquisitions of a watched folder: status, and replay of one of them."""

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orimap.flows.cli.answers import Debug, answers, print_table
from orimap.flows.cli.options import Results, State, state_folder, with_request_options

if TYPE_CHECKING:
    from orimap.flows.watch.journal import Entry


@answers
def status(
    *,
    results: Results,
    state: State = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also files that hold no scan of patterns")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs")] = False,
    debug: Debug = False,
) -> None:
    """List the acquisitions of a watched folder, and the state of each."""
    from orimap.flows.watch.journal import JOURNAL, Journal
    from orimap.flows.watch.one_watcher import watcher_process

    place = state_folder(results, state)
    with Journal(place / JOURNAL, make=False) as journal:
        entries, held = journal.entries(), journal.meta("held")
        folder = journal.meta("folder")
    process = watcher_process(place)
    shown = [entry for entry in entries if everything or entry.state != "not a scan"]
    if as_json:
        found = {"folder": folder, "watcher": process, "held": held}
        print(json.dumps({**found, "acquisitions": [_facts(entry) for entry in shown]}, indent=2))
        return
    print(f"{folder}: {f'watched by process {process}' if process else 'no watcher is running'}")
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
        hold = "file holds" if hidden == 1 else "files hold"
        print(f"{hidden} more {hold} no scan of patterns: --all lists them")


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
        str, typer.Argument(metavar="ID", help="As orimap status lists it; or a name")
    ],
    results: Results,
    state: State = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done")] = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Analyse an acquisition again, with other options or just once more.

    The watcher hands it over: the one that runs, or the next that is started. What was quarantined
    is checked again. Options that are not given stay unchanged.
    """
    from orimap.flows.watch.journal import JOURNAL, Journal
    from orimap.flows.watch.one_watcher import watcher_process
    from orimap.flows.watch.replay import replay_entry

    place = state_folder(results, state)
    changes = {name: value for name, value in options.items() if value is not None}
    with Journal(place / JOURNAL, make=False) as journal:
        entry = journal.find(acquisition)
        print(replay_entry(journal, entry, changes, dry_run=dry_run))
    if dry_run:
        print("nothing was changed")
    elif watcher_process(place) is None:
        print("no watcher is running: start orimap watch to have it analysed")
