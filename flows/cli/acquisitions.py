"""The commands on the acquisitions of a watched folder: status, and replay of one of them."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orimap.flows.cli.answers import Debug, answers, print_lines, print_table
from orimap.flows.cli.options import KnownResults, State, state_folder, with_request_options
from orimap.tasks.lines import say

if TYPE_CHECKING:
    from orimap.flows.watch.journal import Entry


# Of a reason in the table: as much as the terminal has room for, within these.
SHORTEST_REASON, LONGEST_REASON = 24, 60


@answers
def status(
    *,
    acquisition: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Tell all of one: its id, as the table has it, or name"
        ),
    ] = None,
    results: KnownResults = None,
    state: State = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also files that hold no scan of patterns")
    ] = False,
    wide: Annotated[bool, typer.Option("--wide", help="Reasons as long as they are")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs")] = False,
    debug: Debug = False,
) -> None:
    """List the acquisitions of a watched folder, and the state of each; or tell all of one."""
    from orimap.flows.watch.journal import JOURNAL, Journal
    from orimap.flows.watch.one_watcher import watcher_process

    place = state_folder(results, state)
    with Journal(place / JOURNAL, make=False) as journal:
        one = journal.find(acquisition) if acquisition else None
        history = journal.history(one.number) if one else []
        entries, held = [one] if one else journal.entries(), journal.meta("held")
        folder = journal.meta("folder")
    process = watcher_process(place)
    shown = [entry for entry in entries if one or everything or entry.state != "not a scan"]
    if as_json:
        found = {"folder": folder, "watcher": process, "held": held}
        facts = {**found, "acquisitions": [_facts(entry) for entry in shown]}
        say(*json.dumps(facts, indent=2).splitlines())
        return
    if one:
        _print_one(one, history)
        return
    say(f"{folder}: {f'watched by process {process}' if process else 'no watcher is running'}")
    if held:
        say(f"held: {held}")
    rows = [
        (e.id, e.name, str(e.revision), e.state, _moment(e.since), _one_line(e.reason),
         str(e.job.output) if e.job_text else "")
        for e in shown
    ]  # fmt: skip
    head = ("id", "name", "rev", "state", "since (UTC)", "reason", "results")
    print_table(head, rows if wide else _cut([head, *rows], head.index("reason"))[1:])
    hidden = len(entries) - len(shown)
    if hidden:
        hold = "file holds" if hidden == 1 else "files hold"
        say(f"{hidden} more {hold} no scan of patterns: --all lists them")


def _moment(stored: str) -> str:
    """Return a stored time for people: to the second, in UTC."""
    return stored[:19].replace("T", " ")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(rows: "list[tuple[str, ...]]", column: int) -> "list[tuple[str, ...]]":
    """Cut what is long in one column, so that rows fit the terminal, if it is wide enough."""
    widths = [max(map(len, of)) for of in zip(*rows, strict=True)]
    others = sum(widths) - widths[column] + 2 * (len(widths) - 1)
    room = LONGEST_REASON
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns - others
    room = min(max(room, SHORTEST_REASON), LONGEST_REASON)
    return [
        (*row[:column], text if len(text) <= room else text[: room - 1] + "…", *row[column + 1 :])
        for row in rows
        for text in [row[column]]
    ]


def _print_one(entry: "Entry", history: list[dict[str, Any]]) -> None:
    """Print all that is known of an acquisition, and what became of it one after the other."""
    print_lines(
        [
            ("id", entry.id),
            ("name", f"{entry.name} (revision {entry.revision})"),
            ("state", f"{entry.state} since {_moment(entry.since)} UTC"),
            ("reason", entry.reason),
            ("results", str(entry.job.output) if entry.job_text else ""),
        ]
    )
    say("", "what became of it:")
    print_lines(
        [(_moment(at["time"]), f"{at['after']}: {at['reason']}".rstrip(": ")) for at in history]
    )


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
    results: KnownResults = None,
    state: State = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done")] = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Analyse an acquisition again, with other options or just once more.

    The watcher hands it over: the one that runs, or the next that is started. What was quarantined
    is checked again. Options that are not given stay unchanged.
    """
    from orimap.flows.request.request import with_files
    from orimap.flows.watch.journal import JOURNAL, Journal
    from orimap.flows.watch.one_watcher import watcher_process
    from orimap.flows.watch.replay import replay_entry

    place = state_folder(results, state)
    given = {name: value for name, value in options.items() if value is not None}
    # Whoever performs the job may stand elsewhere.
    changes = with_files(given, lambda path: Path(path).resolve())
    with Journal(place / JOURNAL, make=False) as journal:
        entry = journal.find(acquisition)
        say(replay_entry(journal, entry, changes, dry_run=dry_run))
    if dry_run:
        say("nothing was changed")
    elif watcher_process(place) is None:
        say("no watcher is running: start orimap watch to have it analysed")
