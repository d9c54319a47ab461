"""What is known of every acquisition, kept so that no kill and no power cut loses or doubles one.

A row an acquisition, or rather a revision of it: a name that is written again with other content
is the next revision. Every change of state is one transaction, with its time and its reason in
``history``. What may follow what is said once, in ``FOLLOWS``.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orimap.flows.jobs.job import Job
from orimap.tasks.errors import InputError

JOURNAL = "journal.sqlite"
SCHEMA_VERSION = 1
# Two processes write: the watcher, and orimap replay for a moment.
BUSY_SECONDS = 30
ID_LETTERS = 12
FOLLOWS = {
    "seen": {"settled", "quarantined", "not a scan"},
    "settled": {"submitted", "failed", "quarantined"},
    "submitted": {"running", "done", "failed", "settled"},
    "running": {"submitted", "done", "failed", "settled"},
    "done": {"settled"},
    "failed": {"settled"},
    "quarantined": {"seen"},
    "not a scan": {"seen"},
}
UNDER_WAY = ("settled", "submitted", "running")
# The signature of what has changed while it was read: it is looked at again.
CHANGED = "changed while it was read"
ENDED = ("done", "failed", "quarantined", "not a scan")

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE acquisition (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    since TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    signature TEXT NOT NULL DEFAULT '',
    identity TEXT NOT NULL DEFAULT '',
    size INTEGER NOT NULL DEFAULT 0,
    written REAL NOT NULL DEFAULT 0,
    job_text TEXT NOT NULL DEFAULT '',
    reference TEXT NOT NULL DEFAULT '',
    analyses INTEGER NOT NULL DEFAULT 0,
    handed_over INTEGER NOT NULL DEFAULT 0,
    decided_k INTEGER,
    confidence TEXT,
    UNIQUE (name, revision)
);
CREATE INDEX by_state ON acquisition (state);
CREATE TABLE history (
    number INTEGER NOT NULL,
    time TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    reason TEXT NOT NULL
);
"""

_HISTORY = "SELECT time, before, after, reason FROM history WHERE number = ? ORDER BY rowid"


class TransitionError(RuntimeError):
    """A change of state that makes no sense: a mistake in the program."""


@dataclass(frozen=True)
class Entry:
    """One revision of one acquisition.

    Parameters
    ----------
    number : int
    name : str
        Of its main file, in the watched folder.
    revision : int
        From 1.
    state, since, reason : str
        ``since`` is a time in UTC.
    signature : str
        Digest of sizes and times, as it was last looked at.
    identity : str
        Digest of name, sizes and content; empty until it has settled.
    size : int
        Bytes of all its files.
    written : float
        When its last file was written, seconds since 1970.
    job_text : str
        The job as JSON, as it was or will be handed over; fixed when it settles.
    reference : str
        What the submitter calls it.
    analyses, handed_over : int
        How often an analysis was asked for; how often this one was handed over.
    decided_k, confidence
        What came out.
    """

    number: int
    name: str
    revision: int
    state: str
    since: str
    reason: str
    signature: str
    identity: str
    size: int
    written: float
    job_text: str
    reference: str
    analyses: int
    handed_over: int
    decided_k: int | None
    confidence: str | None

    @property
    def job(self) -> Job:
        """What is handed over; only once it has settled."""
        return Job.model_validate_json(self.job_text)

    @property
    def id(self) -> str:
        """What people call it: the beginning of its identity."""
        return self.identity[:ID_LETTERS]

    @property
    def title(self) -> str:
        """Name and, where there is more than one, revision."""
        return self.name if self.revision == 1 else f"{self.name} (revision {self.revision})"


class Journal:
    """The journal of one watched folder, in a file; to be closed.

    Parameters
    ----------
    path : Path
    make : bool
        Make it where there is none.

    Raises
    ------
    InputError
        If there is none, it is of another version of orimap, or cannot be written here.
    """

    def __init__(self, path: Path, *, make: bool = True) -> None:
        if not make and not path.is_file():
            raise InputError(
                f"the journal of a watched folder ({path})",
                "there is none",
                "name with --results the folder that was given to orimap watch, and with --state "
                "what was given there, if anything was",
            )
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._database.row_factory = sqlite3.Row
            mode = self._database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            self._database.execute("PRAGMA synchronous = FULL")
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error
        if mode != "wal":
            raise _unusable(path, f"SQLite offers only the mode {mode} there")
        self._require_version()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_version(self) -> None:
        """Make the tables in an empty file; refuse those of another version."""
        with self._transaction():
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise InputError(
                    f"a journal of version {SCHEMA_VERSION}, which this orimap writes",
                    f"{self.path} is of version {version}",
                    "use the version of orimap that wrote it, or give --state another folder to "
                    "start afresh: existing results are reused",
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all or nothing; nobody else writes in between."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    # What is there.

    def entries(self, *states: str) -> list[Entry]:
        """Return the entries in these states, or all, in the order they came."""
        marks = ",".join("?" * len(states))
        where = f"WHERE state IN ({marks})" if states else ""
        rows = self._database.execute(
            f"SELECT * FROM acquisition {where} ORDER BY number", states
        ).fetchall()
        return [_entry(row) for row in rows]

    def entry(self, number: int) -> Entry:
        """Return one entry."""
        return _entry(self._row(number))

    def latest(self) -> dict[str, Entry]:
        """Return the last revision of every name."""
        return {entry.name: entry for entry in self.entries()}

    def find(self, text: str) -> Entry:
        """Return the entry that the beginning of an id, or a name, means.

        Raises
        ------
        InputError
            If it means none, or several.
        """
        by_id = [e for e in self.entries() if text and e.identity.startswith(text.lower())]
        found = by_id or [e for e in self.latest().values() if e.name == text]
        if len(found) != 1:
            raise InputError(
                "the id of an acquisition, or its name in the watched folder",
                f"{text!r} means {len(found) or 'none'} of them",
                "orimap status lists them",
            )
        return found[0]

    def history(self, number: int) -> list[dict[str, Any]]:
        """Return every change of an entry, oldest first."""
        rows = self._database.execute(_HISTORY, (number,))
        return [dict(row) for row in rows]

    # What changes.

    def see(self, name: str, reason: str, *, size: int, written: float) -> Entry:
        """Begin an entry: a new name, or a known one that is being written again."""
        with self._transaction():
            last = self._database.execute(
                "SELECT max(revision) FROM acquisition WHERE name = ?", (name,)
            ).fetchone()[0]
            number = self._database.execute(
                "INSERT INTO acquisition (name, revision, state, since, reason, size, written) "
                "VALUES (?, ?, 'seen', ?, ?, ?, ?)",
                (name, (last or 0) + 1, now(), reason, size, written),
            ).lastrowid
            self._tell(number, "", "seen", reason)
        return self.entry(number)

    def move(
        self, entry: Entry, state: str, reason: str = "", *, job: Job | None = None, **facts: Any
    ) -> Entry:
        """Change the state of an entry, and with it its job and other facts.

        Raises
        ------
        TransitionError
            If this state cannot follow, or another process has changed it.
        """
        with self._transaction():
            before = self._row(entry.number)["state"]
            if before != entry.state or state not in FOLLOWS[before]:
                raise TransitionError(f"{entry.title}: {before} (read as {entry.state}) → {state}")
            facts = {"state": state, "reason": reason, "since": now(), **facts}
            if job is not None:
                facts["job_text"] = job.model_dump_json()
            names = ", ".join(f"{name} = ?" for name in facts)
            self._database.execute(
                f"UPDATE acquisition SET {names} WHERE number = ?",
                (*facts.values(), entry.number),
            )
            self._tell(entry.number, before, state, reason)
        return self.entry(entry.number)

    def note(self, entry: Entry, **facts: Any) -> None:
        """Keep a reason or a signature that changes no state."""
        names = ", ".join(f"{name} = ?" for name in facts)
        with self._transaction():
            self._database.execute(
                f"UPDATE acquisition SET {names} WHERE number = ?",
                (*facts.values(), entry.number),
            )

    def forget(self, entry: Entry, reason: str) -> None:
        """Remove an entry that came to nothing; its history stays."""
        if entry.state != "seen":
            raise TransitionError(f"{entry.title} is {entry.state} and cannot be forgotten")
        with self._transaction():
            self._tell(entry.number, "seen", "", reason)
            self._database.execute("DELETE FROM acquisition WHERE number = ?", (entry.number,))

    def meta(self, name: str) -> str:
        """Return a fact about the whole journal, empty where there is none."""
        row = self._database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row["value"] if row else ""

    def set_meta(self, name: str, value: str) -> None:
        """Keep a fact about the whole journal."""
        with self._transaction():
            self._database.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = ?",
                (name, value, value),
            )

    def _row(self, number: int) -> sqlite3.Row:
        row = self._database.execute(
            "SELECT * FROM acquisition WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            raise TransitionError(f"there is no entry {number} any more")
        return row

    def _tell(self, number: int, before: str, after: str, reason: str) -> None:
        self._database.execute(
            "INSERT INTO history SELECT number, ?, name, revision, ?, ?, ? FROM acquisition "
            "WHERE number = ?",
            (now(), before, after, reason, number),
        )


def read_entries(path: Path) -> list[Entry]:
    """Return what a journal holds, without writing anything; its owner may be another account.

    Raises
    ------
    InputError
        If it is of another version of orimap, or cannot be read here.
    """
    return [_entry(row) for row in _read(path, "SELECT * FROM acquisition ORDER BY number")]


def read_history(path: Path, number: int) -> list[dict[str, Any]]:
    """Return every change of an entry, oldest first, as `read_entries` reads."""
    return [dict(row) for row in _read(path, _HISTORY, number)]


def _read(path: Path, query: str, *values: object) -> list[sqlite3.Row]:
    """Return rows of a journal that is only read."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        ) as database:
            database.row_factory = sqlite3.Row
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA_VERSION):
                raise InputError(
                    f"a journal of version {SCHEMA_VERSION}, which this orimap reads",
                    f"{path} is of version {version}",
                    "use the version of orimap that wrote it",
                )
            return database.execute(query, values).fetchall() if version else []
    except sqlite3.Error as error:
        raise InputError(
            f"the journal of a watched folder ({path})",
            str(error),
            "look as the account that orimap watch runs as",
        ) from error


def now() -> str:
    """Return the time in UTC, as the journal keeps it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(**dict(row))


def _unusable(path: Path, why: object) -> InputError:
    return InputError(
        f"a place for the journal ({path}) where SQLite can work",
        str(why),
        "give a folder on a disk of this machine with --state DIR: network folders are unreliable",
    )
