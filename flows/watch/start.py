"""Watch one folder from start to end, or say what would be done."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from orimap.cluster.processes.leftovers import clear_temporary
from orimap.flows.jobs.embedded import EmbeddedSubmitter
from orimap.flows.jobs.job import Submitter
from orimap.flows.jobs.notify import tell_put_aside
from orimap.flows.jobs.privacy import keep_private
from orimap.flows.watch.context import QuietLog, WatcherContext
from orimap.flows.watch.intake import open_as_asked
from orimap.flows.watch.journal import JOURNAL, Entry, Journal
from orimap.flows.watch.one_watcher import network_file_system, only_watcher
from orimap.flows.watch.watched_folder import Watching
from orimap.flows.watch.watcher import Watcher
from orimap.tasks.acquire.arrivals.finished import Finishing
from orimap.tasks.acquire.arrivals.opening_test import OpeningTest
from orimap.tasks.errors import InputError
from orimap.tasks.store.leftovers import clear_folder


def watch_folder(
    watching: Watching,
    choose_submitter: Callable[[], Submitter],
    note: Callable[[str], None],
    *,
    where: str,
    once: bool,
) -> bool:
    """Watch until told to stop; return whether anything ended badly.

    Parameters
    ----------
    watching : Watching
    choose_submitter : callable
        Returns the submitter; called once the folders are there.
    note : callable
        Gets every line of the log.
    where : str
        Where the analyses run, for the log.
    once : bool
        End when nothing is left to do.

    Raises
    ------
    InputError
        If a folder cannot be written, the journal is that of another folder, or jobs cannot be
        submitted; UnavailableError if another watcher works with the journal.
    """
    keep_private(watching.results, watching.state, watching.group)
    _clear(watching)
    network = network_file_system(watching.state)
    if network is not None:
        note(
            f"the journal lies on a network folder ({network}), where SQLite is not safe: give "
            "--state DIR on a disk of this machine"
        )
    submitter = choose_submitter()
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
            WatcherContext(
                watching=watching,
                journal=journal,
                submitter=submitter,
                opens=opens,
                log=QuietLog(note),
                announce=lambda entry: tell_put_aside(entry.title, entry.reason, note),
            )
        )
        note(f"watching {watching.folder}; results in {watching.results}; analysed by: {where}")
        with stopped_by_signals(watcher.wake) as stop:
            watcher.run(stop, once=once)
        if stop.is_set():
            note("stopped; the next start continues")
        held = journal.meta("held")
        return bool(held) or len(journal.entries("failed", "quarantined")) > began


def _clear(watching: Watching) -> None:
    """Remove what killed runs and watchers have left."""
    clear_temporary()
    for folder in (watching.results, watching.state):
        clear_folder(folder)


def _only_this_folder(journal: Journal, folder: Path) -> None:
    """Refuse a journal of another folder: names in a journal are those in one folder."""
    known = journal.meta("folder")
    if known and known != str(folder):
        raise InputError(
            f"the journal of {folder}",
            f"{journal.path} is that of {known}",
            "give each watched folder its own --results",
        )
    journal.set_meta("folder", str(folder))


@contextmanager
def stopped_by_signals(wake: threading.Event) -> Iterator[threading.Event]:
    """Give an event that Ctrl-C or SIGTERM sets; a second Ctrl-C does not wait.

    Handlers are those of the whole process, so this is the one place where a watcher sets them,
    and they are put back at the end. Where Ctrl-C is ignored it stays ignored: a shell has started
    the watcher in the background, and the Ctrl-C of its terminal is meant for others.

    Parameters
    ----------
    wake : Event
        Set together with the event, so that the watcher does not wait for its pause to end.
    """
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()
        wake.set()

    heeded = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, ask) for number in heeded}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def what_would_be_done(
    watching: Watching, note: Callable[[str], None]
) -> list[tuple[str, str, str]]:
    """Look twice, as far apart as a file takes to settle; write nothing.

    Parameters
    ----------
    watching : Watching
    note : callable
        Gets a line about each path that is passed over.

    Returns
    -------
    list of (str, str, str)
        Name, state, and what would be done with each acquisition or what is known of it.
    """
    latest = _known(watching.state / JOURNAL)
    rows = []
    with OpeningTest() as opens:
        finishing = Finishing(
            watching.folder,
            lambda arrival: open_as_asked(watching, opens, arrival),
            settle_seconds=watching.settle_seconds,
            unsure_times=1,
        )
        for arrival in watching.look(lambda path, why: note(f"{path} {why}")):
            finishing.judge(arrival, time.monotonic())
        time.sleep(watching.settle_seconds)
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
    return rows


def _known(path: Path) -> dict[str, Entry]:
    """Return what a journal says of every name, nothing where there is no journal."""
    if not path.is_file():
        return {}
    with Journal(path, make=False) as journal:
        return journal.latest()
