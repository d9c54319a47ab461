"""Look whether everything that unattended operation needs is there, and say what is wrong."""

import contextlib
import fcntl
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

from orimap.cluster.environment import COMPILED, can_be_made, keep_compiled_code
from orimap.flows.jobs.notify import NOTIFY_VARIABLE
from orimap.flows.machine.api_password import password_file
from orimap.flows.prefect import configured
from orimap.flows.request.allowed import ROOTS_VARIABLE, allowed_roots
from orimap.flows.viewer.entry.access import read_token
from orimap.flows.watch.one_watcher import network_file_system
from orimap.tasks.errors import InputError, words_of

# A scan of 100,000 patterns of 512 x 512 pixels takes some 10 GB compressed, twice while it waits.
LITTLE_DISK_BYTES, HARDLY_ANY_DISK_BYTES = 50e9, 5e9
LITTLE_MEMORY_BYTES = 4 * 2**30
# Settling compares times of files with this clock; a web server tells whole seconds.
CLOCK_SECONDS = 3
ANSWER_SECONDS = 5


@dataclass(frozen=True)
class Finding:
    """What one look came to: fine, a doubt, or wrong; and what to do about it."""

    what: str
    state: Literal["ok", "doubt", "wrong"]
    found: str
    remedy: str = ""


def examine(
    *,
    watch: Path | None,
    results: Path | None,
    state: Path | None,
    port: int,
    view_port: int,
) -> Iterator[Finding]:
    """Look at everything, one finding after the other.

    Parameters
    ----------
    watch, results, state : Path or None
        The folder of acquisitions, that of the results, that of journal and server.
    port : int
        Where the Prefect server of ``orimap up`` listens.
    view_port : int
        Where its viewer listens.
    """
    yield _python()
    yield from _packages()
    yield _memory()
    yield _command("orimap")
    yield _compiled(state)
    if watch is not None:
        yield _readable(watch)
    if results is not None:
        yield from _writable(results)
        yield from _disk(results)
        yield from _clock_of(results)
    if watch is not None and results is not None:
        yield _apart(watch, results)
    if state is not None:
        yield from _journal(state)
        yield _password(state)
    yield _port(port)
    yield _view_port(view_port)
    yield from _prefect()
    yield from _roots(path for path in (watch, results) if path is not None)
    yield _notifications()


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    fine = (3, 11) <= sys.version_info < (3, 14)
    return Finding("Python", "ok" if fine else "wrong", version, "use Python 3.11 to 3.13")


def _packages() -> Iterator[Finding]:
    """Compare the versions of all packages with what orimap asks for."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    asked = [Requirement(line) for line in requires("orimap") or []]
    wanted = [each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = []
    for each in wanted:
        try:
            there = version(each.name)
        except PackageNotFoundError:
            wrong.append(f"{each.name} is missing")
            continue
        if not each.specifier.contains(there, prereleases=True):
            wrong.append(f"{each.name} {there} is not {each.specifier}")
    remedy = "install the pinned versions: make install"
    if not wrong:
        yield Finding("packages", "ok", f"{len(wanted)}, of the versions that are needed")
    for words in wrong:
        yield Finding("packages", "wrong", words, remedy)


def _memory() -> Finding:
    import psutil

    from orimap.cluster.local import available_cores
    from orimap.tasks.report.words import bytes_text

    total = psutil.virtual_memory().total
    found = f"{bytes_text(total)}, {available_cores()} cores"
    if total < LITTLE_MEMORY_BYTES:
        return Finding("memory", "doubt", found, "large scans will be refused; orimap info tells")
    return Finding("memory", "ok", found)


def _command(name: str) -> Finding:
    """Look for the command that workers, units and batch jobs start."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return Finding("command", "ok", str(beside))
    return Finding("command", "wrong", f"no {beside}", "install orimap into this environment")


def _compiled(state: Path | None) -> Finding:
    """Look for where compiled code is kept: without such a place no analysis can start."""
    what = "compiled code"
    folder = keep_compiled_code(state)
    if not can_be_made(folder):
        remedy = f"let {COMPILED} name a folder that this account can write, or unset it"
        return Finding(what, "wrong", f"{folder} cannot be written", remedy)
    kept = state is not None and folder.is_relative_to(state.absolute())
    if COMPILED in os.environ and folder.is_relative_to(tempfile.gettempdir()) and not kept:
        words = f"{folder}, until it is cleared: this account can write no home of its own"
        remedy = "make a home for the account, or give a folder for the state: --state"
        return Finding(what, "doubt", words, remedy)
    return Finding(what, "ok", f"kept in {folder}")


def _readable(folder: Path) -> Finding:
    what = "watched folder"
    try:
        with os.scandir(folder) as entries:
            count = sum(1 for _ in entries)
    except OSError as error:
        words = f"{folder}: {error.strerror}"
        missing = isinstance(error, FileNotFoundError)
        remedy = "create it, or mount its disk" if missing else "fix its permissions, or mount it"
        return Finding(what, "wrong", words, remedy)
    return Finding(what, "ok", f"{folder}, {count} entries{_on(folder)}")


def _writable(folder: Path) -> Iterator[Finding]:
    """Do in the results folder what a run does there: write, rename, lock."""
    what = "results folder"
    try:
        with _scratch(folder) as scratch:
            (scratch / "a").write_text("a")
            (scratch / "a").rename(scratch / "b")
            with (scratch / "b").open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        words = f"{folder}: {error.strerror}"
        remedy = "choose a folder where files can be written, renamed and locked"
        yield Finding(what, "wrong", words, remedy)
    else:
        yield Finding(what, "ok", f"{folder}, can be written and locked{_on(folder)}")


def _disk(folder: Path) -> Iterator[Finding]:
    from orimap.tasks.report.words import bytes_text

    with contextlib.suppress(OSError):
        free = shutil.disk_usage(_existing(folder)).free
        found = f"{bytes_text(free)} free for results"
        remedy = "free some space, or raise --disk-floor so that nothing starts and fails"
        bad = free < HARDLY_ANY_DISK_BYTES
        state = "wrong" if bad else "doubt" if free < LITTLE_DISK_BYTES else "ok"
        yield Finding("disk", state, found, "" if state == "ok" else remedy)


def _clock_of(folder: Path) -> Iterator[Finding]:
    """Compare the clock of a folder's disk with this machine's."""
    with contextlib.suppress(OSError), _scratch(folder) as scratch:
        ahead = (scratch.stat().st_mtime) - time.time()
        if abs(ahead) > CLOCK_SECONDS:
            words = f"the disk of {folder} is {ahead:+.0f} s off this machine's"
            yield Finding("clock", "wrong", words, "set both by NTP: settling compares times")
        else:
            yield Finding("clock", "ok", f"{folder} and this machine agree")


def _apart(watch: Path, results: Path) -> Finding:
    inside = results.resolve().is_relative_to(watch.resolve())
    if inside:
        words = f"{results} lies inside {watch}"
        return Finding("folders", "doubt", words, "keep results apart from acquisitions")
    return Finding("folders", "ok", "results are apart from acquisitions")


def _journal(state: Path) -> Iterator[Finding]:
    """Write a journal as the watcher does; network folders often cannot hold one."""
    what = "state folder"
    try:
        with _scratch(state) as scratch:
            connection = sqlite3.connect(scratch / "journal.sqlite", timeout=ANSWER_SECONDS)
            with contextlib.closing(connection), connection:
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
                connection.execute("CREATE TABLE kept (id)")
    except (OSError, sqlite3.Error) as error:
        yield Finding(
            what, "wrong", f"{state}: {words_of(error)}", "give a folder on a local disk: --state"
        )
        return
    network = _on(state)
    if mode != "wal" or network:
        words = f"{state}{network}, journal mode {mode}"
        yield Finding(what, "doubt", words, "a journal is safest on a local disk: --state")
    else:
        yield Finding(what, "ok", f"{state}, can hold the journal")


def _password(state: Path) -> Finding:
    """Look whether the password of Prefect's API is this account's alone; make none."""
    what, file = "password", password_file(state)
    if not os.path.lexists(file):
        return Finding(what, "ok", "orimap up makes one for Prefect's API")
    try:
        read_token(file.parent)
    except InputError as error:
        return Finding(what, "wrong", error.found, error.remedy)
    return Finding(what, "ok", f"that of Prefect's API is in {file}")


def _asks_for_a_password(port: int) -> bool:
    """Return whether a Prefect server lets nobody in who knows nothing."""
    try:
        asked = f"http://127.0.0.1:{port}/api/admin/version"
        urllib.request.urlopen(asked, timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError as error:
        return error.code == 401
    return False


def _is_free(port: int) -> bool:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return True
    return False


def _view_port(port: int) -> Finding:
    """Look for the viewer, which answers those it does not know in words of its own."""
    what = f"port {port}"
    if _is_free(port):
        return Finding(what, "ok", "free for the viewer of orimap up")
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code == 401 and b"the token of this viewer" in error.read(1000):
            return Finding(what, "ok", "a viewer answers there")
    except (OSError, ValueError):
        pass
    return Finding(what, "doubt", "taken by another program", "give orimap up another --view-port")


def _port(port: int) -> Finding:
    what = f"port {port}"
    if _is_free(port):
        return Finding(what, "ok", "free for the Prefect server of orimap up")
    with contextlib.suppress(OSError, ValueError):
        urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/health", timeout=ANSWER_SECONDS
        ).close()
        if _asks_for_a_password(port):
            return Finding(what, "ok", "a Prefect server answers there, and asks for a password")
        words = "a Prefect server answers there to every account of this machine"
        remedy = "let orimap up start it, or give it a password: deploy/private-api.md"
        return Finding(what, "doubt", words, remedy)
    return Finding(what, "doubt", "taken by another program", "give orimap up another --port")


def _prefect() -> Iterator[Finding]:
    """Ask the Prefect API that is configured, if one is; compare its clock."""
    what = "Prefect API"
    try:
        api = configured.configured_api()
    except InputError as error:
        yield Finding(what, "wrong", error.found, error.remedy)
        return
    if api is None:
        yield Finding(what, "ok", "none is configured; orimap up brings its own")
        return
    try:
        with urllib.request.urlopen(f"{api.rstrip('/')}/health", timeout=ANSWER_SECONDS) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        yield Finding(what, "doubt", f"{api} answers {error.code}", "check its authentication")
        return
    except (OSError, ValueError) as error:
        words = f"{api}: {getattr(error, 'reason', error)}"
        yield Finding(what, "wrong", words, "start it, or correct PREFECT_API_URL or the profile")
        return
    yield Finding(what, "ok", f"{api} answers")
    if date:
        ahead = parsedate_to_datetime(date).timestamp() - time.time()
        if abs(ahead) > CLOCK_SECONDS:
            words = f"that of {api} is {ahead:+.0f} s off this machine's"
            yield Finding("clock", "wrong", words, "set both by NTP")


def _roots(folders: Iterable[Path]) -> Iterator[Finding]:
    """Look whether runs that events start may use the folders."""
    roots = [root.resolve() for root in allowed_roots()]
    if not roots:
        yield Finding(
            "allowed folders", "ok", f"{ROOTS_VARIABLE} is not set; orimap up sets it for its runs"
        )
        return
    for folder in folders:
        inside = any(folder.resolve().is_relative_to(root) for root in roots)
        state, words = ("ok", "allows") if inside else ("wrong", "does not allow")
        remedy = "" if inside else f"add it to {ROOTS_VARIABLE}"
        yield Finding("allowed folders", state, f"{ROOTS_VARIABLE} {words} {folder}", remedy)


def _notifications() -> Finding:
    named = os.environ.get(NOTIFY_VARIABLE, "").split()
    if not named:
        return Finding("messages", "ok", f"to the log only; {NOTIFY_VARIABLE} names addresses")
    from apprise import Apprise

    wrong = [
        place
        for place, each in enumerate(named, start=1)
        if "://" in each and not Apprise().add(each)
    ]
    if wrong:
        words = f"address {wrong[0]} of {NOTIFY_VARIABLE} is none that Apprise knows"
        return Finding("messages", "wrong", words, "write it as Apprise's documentation says")
    return Finding("messages", "ok", f"to the log and to {len(named)} more")


def _existing(folder: Path) -> Path:
    """Return a folder, or what it will be made in."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if path.exists())


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give a folder inside another; nothing of it is left."""
    place = _existing(folder)
    with tempfile.TemporaryDirectory(prefix=".orimap-doctor-", dir=place) as scratch:
        yield Path(scratch)


def _on(folder: Path) -> str:
    """Name the kind of network that a folder lies on, nothing for a local disk."""
    kind = network_file_system(folder)
    return f", on a network ({kind})" if kind else ""
