"""Watch a folder: every acquisition that is finished is analysed once, whatever happens between.

One round looks at the folder, tells what is finished, asks how the jobs stand that were handed
over, and hands over what there is room for. All that a round finds out is in the journal, so that
it can end anywhere, even killed, and the next one goes on.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orimap.flows.jobs.job import Job, Submitter
from orimap.flows.jobs.outcome import Outcome
from orimap.flows.watch.dispatch import Dispatch, checked_outcome
from orimap.flows.watch.intake import Intake
from orimap.flows.watch.journal import UNDER_WAY, Entry, Journal
from orimap.flows.watch.watched_folder import Told, Watching
from orimap.tasks.acquire.arrivals.finished import Opened

# Notifications come by the hundred while a file is written.
BETWEEN_ROUNDS_SECONDS = 1.0
# A walk over a large folder on a network must not keep the network busy: so many times as long as
# it takes, nothing is asked.
REST_FOR_WALK = 4


class Watcher:
    """Goes round and round.

    Parameters
    ----------
    watching : Watching
    journal : Journal
    submitter : Submitter
    opens : callable
        The opening test: takes a path and what the request says of how to open it.
    note : callable
        Gets every line for the log.
    announce : callable
        Called with an entry that needs someone: put aside, or not even begun.
    concludes : callable
        Looks at the results of a job that is said to be done.
    """

    def __init__(
        self,
        watching: Watching,
        journal: Journal,
        submitter: Submitter,
        opens: Callable[..., Opened],
        *,
        note: Callable[[str], None],
        announce: Callable[[Entry], None] = lambda entry: None,
        concludes: Callable[[Job], Outcome] = checked_outcome,
    ) -> None:
        self.watching, self.journal = watching, journal
        self.told = Told(note)
        self.intake = Intake(watching, journal, submitter, opens, self.told, announce)
        self.dispatch = Dispatch(watching, journal, submitter, self.told, announce, concludes)
        self.wake = threading.Event()

    def run(self, stop: threading.Event, *, once: bool = False) -> None:
        """Go round until ``stop`` is set, or with ``once`` until nothing is left to do now.

        Who sets ``stop`` sets ``wake`` as well.
        """
        with _notifications(self.watching.folder, self.wake, self.told.note):
            while not stop.is_set():
                self.wake.clear()
                pause = self.round()
                if once and self._nothing_left():
                    return
                shortest = min(BETWEEN_ROUNDS_SECONDS, self.watching.poll_seconds)
                rest = max(shortest, REST_FOR_WALK * self.intake.walk_seconds)
                stop.wait(rest)
                self.wake.wait(max(0.0, pause - rest))

    def round(self) -> float:
        """Go round once; return after how many seconds there is something to look at again."""
        pause = self.watching.poll_seconds
        arrivals = self.intake.look()
        if arrivals is not None:
            latest = self.journal.latest()
            judged = [self.intake.consider(each, latest.get(n)) for n, each in arrivals.items()]
            self.intake.forget_gone(arrivals)
            waits = [each.again_seconds for each in judged if each is not None]
            pause = min([pause, *(wait for wait in waits if wait > 0)])
        self.dispatch.go(arrivals or {})
        return pause

    def _nothing_left(self) -> bool:
        """Tell whether all that is left waits for someone else."""
        writing = {entry.name for entry in self.journal.entries("seen")} - self.intake.stalled
        under_way = self.journal.entries(*UNDER_WAY)
        held = self.journal.meta("held") and all(each.state == "settled" for each in under_way)
        return not writing and (not under_way or bool(held))


@contextmanager
def _notifications(
    folder: Path, wake: threading.Event, note: Callable[[str], None]
) -> Iterator[None]:
    """Let what happens in a folder wake the watcher, as far as the folder tells of it at all."""
    import watchfiles

    stop = threading.Event()

    def listen() -> None:
        try:
            for _ in watchfiles.watch(
                folder, stop_event=stop, debounce=200, rust_timeout=500, raise_interrupt=False,
                ignore_permission_denied=True, watch_filter=None,
            ):  # fmt: skip
                wake.set()
        except Exception as error:  # polling finds everything all the same
            note(f"no notifications from {folder} ({' '.join(str(error).split())}): only polling")

    listener = threading.Thread(target=listen, name="notifications", daemon=True)
    listener.start()
    try:
        yield
    finally:
        stop.set()
        listener.join(2)
