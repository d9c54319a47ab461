"""The table of all runs below a folder: what came out, how sure it is, and how each stands.

A run that cannot be read is a row that says why. Rows are kept until a file that they were made
of has changed.
"""

import csv
import hashlib
import io
import json
import os
import stat
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from orimap.flows.viewer.table.find_runs import (
    OUTCOME,
    RECORD,
    RESULTS,
    UNFINISHED,
    RunFinder,
    link_in,
)
from orimap.flows.watch.journal import Entry, read_entries
from orimap.tasks.errors import InputError, shown_name, words_of
from orimap.tasks.lines import printable
from orimap.tasks.report.words import count_text, headline
from orimap.tasks.store.locks import holder
from orimap.tasks.store.open_results import REVISIONS
from orimap.tasks.view.state import read_state

LOCK = ".lock"
FIGURE = "figures/cluster_map.png"
ATTRIBUTES = tuple(
    f"{RESULTS}/{group}zarr.json" for group in ("", "decision/", "acquisition/", "clusters/")
)
# What a row is made of: it is made again when one of these changes.
MADE_OF = (*ATTRIBUTES, RECORD, OUTCOME, FIGURE, UNFINISHED, REVISIONS)
# The journal's words, as they are shown here.
STATES = {
    "seen": "arriving",
    "settled": "queued",
    "submitted": "queued",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "quarantined": "quarantined",
}
# Beginnings of the reasons of a decision that somebody should look at.
DOUBTS = {"Guessed: ": "guessed", "Doubtful: ": "doubtful"}
MASKED = "masked pixels"
COLUMNS = ("name", "number", "confidence", "flags", "state", "reason", "started", "seconds", "path")
# Addresses of what is known of a run without results, relative to the table's.
ABOUT, ENTRY, RUN = "about/", "entry", "run"
LARGEST_BYTES = 20_000_000
LONGEST_SECONDS = 1e9
FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Row:
    """One run, or one acquisition that has no results yet.

    Parameters
    ----------
    path : str
        Of its folder, below the root; empty where there is none yet.
    name, state, reason, headline, confidence : str
    number : int or None
        Of distinct patterns.
    flags : tuple of str
        What somebody should look at, and what was done by hand.
    started : str
        Time in UTC, empty where it is not known.
    seconds : float or None
        That the run has taken.
    thumbnail, page : str or None
        Addresses, relative to the table's.
    """

    path: str
    name: str
    state: str
    reason: str = ""
    number: int | None = None
    confidence: str = ""
    headline: str = ""
    flags: tuple[str, ...] = ()
    started: str = ""
    seconds: float | None = None
    thumbnail: str | None = None
    page: str | None = None


class RunTable:
    """All runs below a folder; safe to be asked by several threads.

    Parameters
    ----------
    root : Path
        Absolute, without links.
    journal : Path
        Of the watcher whose results these are; need not be there.
    """

    def __init__(self, root: Path, journal: Path) -> None:
        self.root, self.journal = root, journal
        self._finder = RunFinder(root)
        self._rows: dict[str, tuple[Any, Row]] = {}
        self._entries: tuple[Any, list[Entry], str] = (None, [], "")
        self._folders: frozenset[str] = frozenset()
        self._busy = threading.Lock()

    def rows(self) -> tuple[list[Row], str]:
        """Return all rows, the newest first, and what is missing from them in words."""
        with self._busy:
            found = self._finder.find()
            self._folders = frozenset(found)
            kept = {below: self._kept(below, marks) for below, marks in found.items()}
            self._rows = kept
            rows = {below: row for below, (_, row) in kept.items()}
            entries, problem = self._journal_entries()
        for entry in entries:
            below = output_below(self.root, entry.job_text)
            if entry.state in STATES:
                known = rows.get(below) if below else None
                rows[below or f"\0{entry.number}"] = with_entry(known, entry)
        told = "; ".join(filter(None, (self._finder.incomplete, problem)))
        return sorted(rows.values(), key=lambda row: row.started, reverse=True), told

    def folder_of(self, parts: list[str]) -> tuple[str, Path] | None:
        """Return the run that the beginning of an address means, None where it means none.

        Only what the table has found is ever opened.
        """
        for known in (True, False):
            if not known:  # it may have come since the table was last made
                self.rows()
            for end in range(len(parts), 0, -1):  # one may lie in the folder of another
                below = "/".join(parts[:end])
                if below in self._folders:
                    return below, self.root / below
        return None

    def entries(self) -> list[Entry]:
        """Return what the journal held when the table was last made."""
        return list(self._entries[1])

    def _kept(self, below: str, marks: frozenset[str]) -> tuple[Any, Row]:
        """Return a row with what it was made of, the one from before where that still holds."""
        folder = self.root / below
        facts = tuple(_changed(folder / name) for name in MADE_OF)
        # How a run stands that is under way or was ended is not told by times of files.
        running = UNFINISHED in marks and _is_written(folder)
        known = self._rows.get(below)
        # How far one under way is can be told anew at every look.
        if known is not None and known[0] == (facts, running) and not running:
            return known
        try:
            row = _row(below, folder, marks, running)
        except Exception as error:  # whatever is in the files of one run is no trouble of others
            words = words_of(error)
            if not isinstance(error, (ValueError, OSError)):
                said = f"{type(error).__name__}: {words}"
                words = f"its files do not hold what a run writes ({said})"
            row = Row(**_named(below), state="damaged", reason=printable(words))
        return (facts, running), row

    def _journal_entries(self) -> tuple[list[Entry], str]:
        """Return what the journal holds, or what keeps it from being read."""
        wal = self.journal.with_name(self.journal.name + "-wal")
        facts = _changed(self.journal), _changed(wal)
        if facts[0] is None:
            return [], ""
        known, entries, problem = self._entries
        if known != facts or problem:
            try:
                entries, problem = read_entries(self.journal), ""
            except InputError as error:
                entries, problem = [], f"the journal could not be read: {error.reason}"
            self._entries = (facts, entries, problem)
        return entries, problem


def as_json(rows: list[Row], root: Path, told: str) -> tuple[bytes, str]:
    """Return the table as JSON, and a digest of it."""
    runs = [asdict(row) for row in rows]
    facts = {"root": printable(str(root)), "told": told, "runs": runs}
    text = json.dumps(facts, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    return text, hashlib.sha256(text).hexdigest()[:32]


def chosen(rows: list[Row], *, text: str = "", state: str = "", confidence: str = "") -> list[Row]:
    """Return the rows that the filters of the page leave."""
    asked = " ".join(text.casefold().split())
    return [
        row
        for row in rows
        if state in ("", row.state) and confidence in ("", row.confidence)
        and asked in _told(row)
    ]  # fmt: skip


def _told(row: Row) -> str:
    """Return all words of a row, to be searched."""
    return " ".join((row.name, row.state, row.reason, row.headline, *row.flags)).casefold()


def as_csv(rows: list[Row]) -> str:
    """Return rows for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = {**asdict(row), "flags": "; ".join(row.flags), "path": shown_name(row.path)}
        writer.writerow([_cell(cells[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> object:
    """Return what goes into a cell: text that a spreadsheet would take for a formula is quoted."""
    # As spreadsheets do, which take wide letters for the usual ones and leave out blanks.
    if isinstance(value, str) and unicodedata.normalize("NFKC", value).lstrip().startswith(FORMULA):
        return "'" + value
    return "" if value is None else value


def _row(below: str, folder: Path, marks: frozenset[str], running: bool) -> Row:
    """Make a row from what a run has left."""
    record = read_facts(folder / RECORD) if RECORD in marks else {}
    outcome = read_facts(folder / OUTCOME) if OUTCOME in marks else {}
    facts: dict[str, Any] = {}
    if RESULTS in marks:
        root = read_facts(folder / ATTRIBUTES[0]).get("attributes", {})
        if root.get("status") == "complete":
            decision = read_facts(folder / ATTRIBUTES[1]).get("attributes", {})
            if (folder / ATTRIBUTES[3]).parent.exists():
                read_facts(folder / ATTRIBUTES[3])  # without it nothing of the clusters can be read
            facts = _answer(root, decision, _acquisition(folder))
    state, reason = _state(folder, marks, outcome, complete=bool(facts), running=running)
    seconds = _seconds(record)
    flags = (*facts.pop("flags", ()), *_by_hand(folder))
    if facts and state == "interrupted":
        state, flags = "done", (*flags, "newer run interrupted")
    return Row(
        **_named(below),
        state=state,
        reason=reason,
        flags=flags,
        started=_started(folder, record, outcome),
        seconds=seconds,
        thumbnail=f"runs/{quoted(below)}/thumbnail.png" if _changed(folder / FIGURE) else None,
        page=f"{ABOUT}{RUN}/{quoted(below)}" if state == "failed" else f"runs/{quoted(below)}/",
        **facts,
    )


def _seconds(record: dict[str, Any]) -> float | None:
    """Return how long a run has taken; None where that is no such number."""
    seconds = record.get("seconds")
    known = isinstance(seconds, (int, float)) and 0 <= seconds <= LONGEST_SECONDS
    return float(seconds) if known else None


def _named(below: str) -> dict[str, str]:
    return {"path": printable(below), "name": shown_name(below)}


def _acquisition(folder: Path) -> dict[str, Any]:
    """Return what is known of the acquisition; nothing where that was not kept."""
    try:
        return dict(read_facts(folder / ATTRIBUTES[2]).get("attributes", {}))
    except FileNotFoundError:
        return {}


def _answer(
    root: dict[str, Any], decision: dict[str, Any], acquisition: dict[str, Any]
) -> dict[str, Any]:
    """Return what was decided."""
    number, confidence = int(root["decided_k"]), str(decision["confidence"])
    crystal, countable = (bool(root.get(name, True)) for name in ("crystal_found", "countable"))
    reasons = [str(reason) for reason in decision.get("reasons", ())]
    flags = {word for start, word in DOUBTS.items() if any(r.startswith(start) for r in reasons)}
    if acquisition.get("guesses"):
        flags.add("guessed")
    return {
        "number": number if crystal and countable else None,
        "confidence": confidence,
        "headline": headline(number, confidence, crystal=crystal, countable=countable),
        "flags": (
            *([] if crystal else ["no crystal"]),
            *([] if countable else ["too few positions"]),
            *(word for word in DOUBTS.values() if word in flags),
            *([MASKED] if acquisition.get("n_masked") else []),
        ),
    }


def _state(
    folder: Path, marks: frozenset[str], outcome: dict[str, Any], *, complete: bool, running: bool
) -> tuple[str, str]:
    """Return how a run stands, and why."""
    if running:
        return "running", read_state(folder).words.partition(": ")[2]
    if outcome.get("state") == "failed":
        reason, remedy = (str(outcome.get(name) or "") for name in ("reason", "remedy"))
        return "failed", "; ".join(filter(None, (reason, remedy)))
    if UNFINISHED in marks:
        return "interrupted", "it was ended before it was complete; the same command goes on"
    if complete:
        return "done", ""
    linked = link_in(folder)
    if linked:
        return "incomplete", f"{linked} is a link, which is not followed"
    return "incomplete", "its results are not complete"


def _by_hand(folder: Path) -> Iterator[str]:
    """Say what was corrected by hand."""
    try:
        count = sum(1 for each in (folder / REVISIONS).iterdir() if each.suffix == ".zarr")
    except OSError:
        return
    if count:
        yield count_text(count, "revision")


def _started(folder: Path, record: dict[str, Any], outcome: dict[str, Any]) -> str:
    """Return when a run began, or else when its folder was last written."""
    if outcome.get("started"):
        return _utc(datetime.fromisoformat(str(outcome["started"])))
    written = _changed(folder / RECORD)
    seconds = _seconds(record)
    if written is not None and seconds is not None:
        return _utc(datetime.fromtimestamp(written / 1e9 - seconds, UTC))
    return _utc(datetime.fromtimestamp((_changed(folder) or 0) / 1e9, UTC))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def with_entry(row: Row | None, entry: Entry) -> Row:
    """Return a row with what the journal knows of its acquisition."""
    state, since = STATES[entry.state], _utc(datetime.fromisoformat(entry.since))
    title = shown_name(entry.title)
    # The state stands beside it.
    told = "" if entry.state in ("done", "running") else printable(entry.reason)
    reason = "" if told == state else told
    about = f"{ABOUT}{ENTRY}/{entry.number}"
    if row is None:
        confidence = entry.confidence or ""
        gone = entry.state == "done"
        return Row(
            path="",
            name=title,
            state="incomplete" if gone else state,
            reason="its results are no longer in their folder" if gone else reason,
            number=entry.decided_k,
            confidence=confidence,
            started=since,
            page=about,
        )
    if entry.state == "done" or row.state == "damaged":
        return row
    ended = entry.state in ("failed", "quarantined")
    return replace(
        row,
        state=state,
        reason=reason or (row.reason if row.state == state else ""),
        started=row.started or since,
        page=about if ended else row.page,
    )


@lru_cache(maxsize=10_000)
def output_below(root: Path, job_text: str) -> str:
    """Return where the results of a job go, below the root; empty where that is elsewhere."""
    try:
        output = Path(json.loads(job_text)["request"]["output"])
        return str(output.relative_to(root)) if job_text else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _is_written(folder: Path) -> bool:
    """Return whether a process writes a folder of results now."""
    try:
        return holder(folder / LOCK) is not None
    except OSError:
        return False


def open_regular(path: Path) -> BinaryIO:
    """Open a file that somebody may have put something else in the place of.

    A link would lead elsewhere, and a pipe would keep whoever opens it waiting for a writer.

    Raises
    ------
    OSError, ValueError
        If it is no file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{path.name} is no file")
    return open(descriptor, "rb")


def read_facts(path: Path) -> dict[str, Any]:
    """Read a small file of JSON."""
    with open_regular(path) as file:
        read = file.read(LARGEST_BYTES + 1)
    if len(read) > LARGEST_BYTES:
        raise ValueError(f"{path.name} has more than {LARGEST_BYTES:,} bytes")
    try:
        facts = json.loads(read.decode("utf-8"))
    except ValueError as error:
        where = f"{path.parent.name}/{path.name}"
        raise ValueError(f"{where} is cut or changed; orimap run makes it anew") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path.name} does not hold what a run writes")
    return facts


def _changed(path: Path) -> int | None:
    """Return when a file was last changed, None where there is none; links count as none."""
    try:
        facts = path.lstat()
    except OSError:
        return None
    return None if path.is_symlink() else facts.st_mtime_ns


def quoted(below: str) -> str:
    """Return a path as a part of an address, whatever bytes are in it."""
    return quote(below.encode("utf-8", "surrogateescape"))
