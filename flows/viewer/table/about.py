"""A page with all that is known of an acquisition without results: why, since when, what to do.

It has no script; whatever comes from files and their names is escaped.
"""

import html
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orimap.flows.jobs.perform import LOG
from orimap.flows.viewer.table.find_runs import OUTCOME
from orimap.flows.viewer.table.runs import (
    ENTRY,
    RUN,
    Row,
    RunTable,
    open_regular,
    output_below,
    quoted,
    read_facts,
    with_entry,
)
from orimap.flows.watch.journal import Entry, read_history
from orimap.tasks.lines import printable

LOG_LINES, LOG_BYTES = 60, 100_000
# What to do where a state does not say so by itself; {id} is that of the acquisition.
TO_DO = {
    "arriving": "Nothing: it is analysed by itself once it is complete.",
    "queued": "Nothing: its turn comes by itself.",
    "running": "Nothing: it is being analysed.",
    "quarantined": "Put right what the reason names: copy the file again under the same name, or "
    "put options for it beside it, in {name}.orimap.yaml. Then it is analysed by itself.",
    "failed": "Put right what the reason names, then have it tried again: orimap replay {id}",
    "incomplete": "Have it analysed again: orimap replay {id}",
}
ALONE = "Put right what the reason names, and give the same command again."


@dataclass(frozen=True)
class About:
    """All that is known of one row.

    Parameters
    ----------
    row : Row
    below : str
        The path of its results below the root, empty where they are elsewhere.
    folder : Path or None
        Of its results, where the table has found them.
    entry : Entry or None
        What the journal says.
    history : sequence of dict
        Its changes, oldest first.
    """

    row: Row
    below: str = ""
    folder: Path | None = None
    entry: Entry | None = None
    history: Sequence[dict[str, Any]] = ()


def find_about(table: RunTable, kind: str, which: str) -> About | None:
    """Return all that is known of an acquisition, or of a run; None where there is none.

    Parameters
    ----------
    table : RunTable
    kind : str
        ``ENTRY``: ``which`` is its number in the journal; ``RUN``: it is a path below the root.

    Raises
    ------
    InputError
        If the journal cannot be read.
    """
    rows, _ = table.rows()
    by_path = {row.path: row for row in rows if row.path}
    for entry in reversed(table.entries()):
        below = output_below(table.root, entry.job_text)
        if which == (str(entry.number) if kind == ENTRY else below or None):
            found = table.folder_of(below.split("/")) if below else None
            folder = found[1] if found is not None and found[0] == below else None
            row = by_path.get(printable(below)) or with_entry(None, entry)
            return About(row, below, folder, entry, read_history(table.journal, entry.number))
    if kind == RUN and printable(which) in by_path:
        found = table.folder_of(which.split("/"))
        if found is not None and found[0] == which:
            return About(by_path[printable(which)], which, found[1])
    return None


def about_page(about: About) -> str:
    """Return the page."""
    row, entry = about.row, about.entry
    title = printable(entry.title) if entry is not None else row.name
    facts = [
        ("State", f"{row.state}, since {_moment(entry.since)}" if entry else row.state),
        ("Reason", row.reason),
        ("What to do", _to_do(about)),
        ("Id", entry.id if entry else ""),
        ("Size", f"{entry.size:,} bytes" if entry else ""),
        ("Results", row.path),
        ("Analyses asked for", str(entry.analyses) if entry and entry.analyses else ""),
    ]
    parts = [f"<h1>{_safe(title)}</h1>", "<dl>"]
    parts += [f"<dt>{name}</dt><dd>{_safe(text)}</dd>" for name, text in facts if text]
    parts.append("</dl>")
    if about.history:
        parts.append("<h2>What happened</h2><ol>")
        for each in about.history:
            reason = f": {each['reason']}" if each["reason"] else ""
            said = f"{_moment(each['time'])}, {each['after'] or 'forgotten'}{reason}"
            parts.append(f"<li>{_safe(said)}</li>")
        parts.append("</ol>")
    if about.folder is not None:
        parts += _tries(about.folder)
        if log := _log(about.folder):
            parts.append(f"<h2>The end of its log ({LOG})</h2><pre>{_safe(log)}</pre>")
        address = f"/runs/{quoted(about.below)}/"
        parts.append(f'<p><a href="{_safe(address)}">What is there of its results</a></p>')
    parts.append('<p><a href="/">All runs</a></p>')
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{_safe(title)} · orimap</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="/enter/enter.css">'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _to_do(about: About) -> str:
    """Say what to do, as its outcome does or as its state does."""
    if about.entry is None:
        return ALONE if about.row.state == "failed" else ""
    name = about.entry.name.rsplit("/", 1)[-1]
    said = TO_DO.get(about.row.state, "")
    return printable(said.format(id=about.entry.id or about.entry.name, name=name))


def _tries(folder: Path) -> Iterable[str]:
    """Return what came of each try, where a job has said so."""
    tries: list[Any] = []
    with suppress(OSError, ValueError, AttributeError, RecursionError):
        if not (folder / OUTCOME).is_symlink():
            tries = list(read_facts(folder / OUTCOME).get("attempts") or [])
    said = [each for each in tries if isinstance(each, dict)]
    if said:
        yield "<h2>Its tries</h2><ol>"
        for each in said:
            words = [str(each.get(name) or "") for name in ("reason", "remedy")]
            yield f"<li>{_safe('; '.join(filter(None, words)))}</li>"
        yield "</ol>"


def _log(folder: Path) -> str:
    """Return the end of the log in a folder of results; a link leads nowhere."""
    log = folder / LOG
    try:
        if log.is_symlink():
            return ""
        with open_regular(log) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
            text = file.read(LOG_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    return "\n".join(text.splitlines()[-LOG_LINES:])


def _moment(text: str) -> str:
    """Write a time of the journal without its parts of a second."""
    return f"{text[:19].replace('T', ' ')} UTC"


def _safe(text: str) -> str:
    """Escape what comes from elsewhere; lines stay."""
    return html.escape("\n".join(map(printable, text.split("\n"))))
