"""Try one worker: whether it is what a run needs."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orimap.cluster.worker_check import check_workers
from orimap.tasks.errors import InputError, words_of

if TYPE_CHECKING:
    from distributed import Client

MB = 1_000_000
# Enough that the time of a single message does not count, few enough for a slow network.
SENT_BYTES = 64 * MB
# Results of every fit pass this way; a network of 1 Gbit/s reaches about 110.
LEAST_MB_PER_SECOND = 25
# Zarr and Dask do without equal clocks; ages of files and logs side by side do not.
MOST_CLOCK_SECONDS = 2.0
# What one machine writes another may see late: NFS looks again after 3 to 60 s.
SEEN_AFTER_SECONDS = 65
HEAD_BYTES = 4096


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    remedy: str = ""

    @classmethod
    def wrong(cls, what: str, error: InputError) -> "Finding":
        """Return what is wrong: here what was found comes first."""
        return cls(what, False, f"{error.found}; needed: {error.needed}", error.remedy)


def check_worker(
    client: "Client", folder: Path, *, file: Path | None = None, memory_bytes: int | None = None
) -> Iterator[Finding]:
    """Look at one worker of a client; what goes wrong is a finding as well.

    Parameters
    ----------
    client : Client
    folder : Path
        Where results are to go: written and read from both sides, and left as it was.
    file : Path, optional
        An acquisition, which is only read.
    memory_bytes : int, optional
        What each worker process was to get.
    """
    address, worker = next(iter(client.scheduler_info()["workers"].items()))
    host = worker["host"]

    def ask(question: Callable[..., Any], *given: Any) -> Any:
        return client.run(question, *given, workers=[address])[address]

    yield Finding("worker", True, f"{host}, {worker['nthreads']} thread")
    yield _judged("versions", lambda: _versions(client, address))
    yield _judged("folder", lambda: _folder(ask, folder.absolute(), host))
    if file is not None:
        yield _judged("file", lambda: _file(ask, file.absolute(), host))
    yield _judged("memory", lambda: _memory(ask, worker["memory_limit"], memory_bytes))
    yield _judged("link", lambda: _link(client, address))
    yield _judged("clock", lambda: _clock(ask))


def _judged(what: str, look: Callable[[], str]) -> Finding:
    """Return what was found, or what is wrong with it."""
    try:
        return Finding(what, True, look())
    except InputError as error:
        return Finding.wrong(what, error)


def _versions(client: "Client", address: str) -> str:
    check_workers(client, [address], [])
    return "Python and packages as here"


def _folder(ask: Callable[..., Any], folder: Path, host: str) -> str:
    """Write on one side, read on the other, both ways."""
    token = secrets.token_hex(8)
    ours, theirs = (folder / f".orimap-check-{side}-{token}" for side in ("here", "worker"))
    remedy = "choose a folder that all nodes share and where you may write"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours.write_text(token)
    except OSError as error:
        raise InputError(f"{folder} written from here", words_of(error), remedy) from error
    try:
        found = ask(_read_when_there, str(ours), SEEN_AFTER_SECONDS)
        if found != token:
            raise InputError(f"{folder} seen by workers", f"{host}: {found}", remedy)
        problem = ask(_write, str(theirs), token)
        if problem is not None:
            raise InputError(f"{folder} written by workers", f"{host}: {problem}", remedy)
        found = _read_when_there(str(theirs), SEEN_AFTER_SECONDS)
        if found != token:
            raise InputError("what workers write, seen here", found, remedy)
    finally:
        ours.unlink()
        ask(_remove, str(theirs))
    return f"{folder} written and read from both sides"


def _file(ask: Callable[..., Any], file: Path, host: str) -> str:
    """Compare the beginning and the size of a file, or what a folder holds."""
    here, there = _look_at(str(file)), ask(_look_at, str(file))
    if isinstance(here, str):
        raise InputError("an acquisition to read", here, "correct --file")
    if here != there:
        found = there if isinstance(there, str) else "something else of this name"
        raise InputError(
            f"{file} as it is here", f"{host}: {found}", "put data where all nodes see them alike"
        )
    return f"{file} read by the worker"


def _memory(ask: Callable[..., Any], limit: int, asked: int | None) -> str:
    """Compare what a worker may take with what it was to get, and with what its machine has."""
    available = ask(_available_bytes)
    words = f"{limit / MB:.0f} MB a worker, {available / MB:.0f} MB free on its machine"
    if asked is not None and limit < 0.98 * asked:  # rounded on the way to the worker
        raise InputError(
            f"{asked / MB:.0f} MB a worker, as asked for", words, "correct memory in the profile"
        )
    if available < limit:
        raise InputError(
            "as much memory free as the worker may take",
            words,
            "ask for less memory, fewer processes, or a machine of your own",
        )
    return words


def _link(client: "Client", address: str) -> str:
    """Send bytes that cannot be compressed to the worker and back."""
    sent = os.urandom(SENT_BYTES)
    client.scatter(b"", workers=[address], direct=False, hash=False)  # opens the connection
    begun = time.monotonic()
    there = client.scatter(sent, workers=[address], direct=False, hash=False)
    halfway = time.monotonic()
    back = client.gather(there, direct=False)
    ended = time.monotonic()
    if back != sent:
        raise InputError("bytes that come back as they were sent", "others", "try again")
    out, home = (SENT_BYTES / MB / max(span, 1e-6) for span in (halfway - begun, ended - halfway))
    words = f"{out:.0f} MB/s to the worker, {home:.0f} MB/s back"
    if min(out, home) < LEAST_MB_PER_SECOND:
        raise InputError(
            f"{LEAST_MB_PER_SECOND} MB/s between scheduler and workers",
            words,
            "name the fast network (interface: ib0), or submit the run itself (orimap submit)",
        )
    return words


def _clock(ask: Callable[..., Any]) -> str:
    """Compare the worker's time with the middle of the question."""
    ask(time.time)  # the first question takes longer
    asked = time.time()
    theirs = ask(time.time)
    answered = time.time()
    difference = theirs - (asked + answered) / 2
    unsure = (answered - asked) / 2
    words = f"{difference:+.2f} s, within {unsure:.2f} s"
    if abs(difference) - unsure > MOST_CLOCK_SECONDS:
        raise InputError(
            f"clocks within {MOST_CLOCK_SECONDS:g} s", words, "let both machines keep time (NTP)"
        )
    return words


def _read_when_there(path: str, seconds: float) -> str:
    """Return what a file holds, or in words why it cannot be read after some time."""
    until = time.monotonic() + seconds
    while True:
        try:
            return Path(path).read_text()
        except OSError as error:
            if not Path(path).parent.is_dir() or time.monotonic() > until:
                return f"{error.strerror} ({path})"
        time.sleep(0.5)


def _write(path: str, text: str) -> str | None:
    """Write a file; return in words why that cannot be done."""
    try:
        Path(path).write_text(text)
    except OSError as error:
        return f"{error.strerror} ({path})"
    return None


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _look_at(path: str) -> tuple | str:
    """Return what tells one acquisition from another, or in words why it cannot be read."""
    try:
        if Path(path).is_dir():
            return tuple(sorted(os.listdir(path)))
        with open(path, "rb") as file:
            return os.path.getsize(path), file.read(HEAD_BYTES)
    except OSError as error:
        return f"{error.strerror} ({path})"


def _available_bytes() -> int:
    """Return how much memory the machine of a worker has free."""
    import psutil

    return psutil.virtual_memory().available
