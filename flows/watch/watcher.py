"""Watch a folder: every acquisition that is finished is analysed once, whatever happens between.

One round looks at the folder, finds what is finished, asks for the states of the jobs that were
handed over, and hands over what there is room for. All that a round finds out is in the journal,
so that it can end anywhere, even killed, and the next one goes on.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orimap.flows.watch.context import WatcherContext
from orimap.flows.watch.dispatch import Dispatch
from orimap.flows.watch.intake import Intake
from orimap.flows.watch.journal import UNDER_WAY
from orimap.tasks.errors import printable, words_of

# Notifications come by the hundred while a file is written.
BETWEEN_ROUNDS_SECONDS = 1.0
# A walk over a large folder must not keep a network busy: for this many times as long as the walk
# took, nothing is asked.
REST_FOR_WALK = 4


class Watcher:
    """Goes round and round.

    Parameters
    ----------
    context : WatcherContext
    """

    def __init__(self, context: WatcherContext) -> None:
        self.context, self.log = context, context.log
        self.watching, self.journal = context.watching, context.journal
        self.intake, self.dispatch = Intake(context), Dispatch(context)
        self.wake = threading.Event()

    def run(self, stop: threading.Event, *, once: bool = False) -> None:
        """Go round until ``stop`` is set, or with ``once`` until nothing is left to do now.

        Set ``wake`` together with ``stop``, or it ends only after its pause.
        """
        with _notifications(self.watching.folder, self.wake, self.log.note):
            while not stop.is_set():
                self.wake.clear()
                pause = self.round()
                if once and self._nothing_left():
                    self._say_what_waits()
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

    def _say_what_waits(self) -> None:
        """Name what is left since it waits for someone else."""
        for entry in self.journal.entries("seen"):
            self.log.note(printable(f"{entry.name}: left for now, {entry.reason}"))

    def _nothing_left(self) -> bool:
        """Return whether all that is left waits for someone else."""
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
            note(f"no notifications from {folder} ({words_of(error)}): only polling")

    listener = threading.Thread(target=listen, name="notifications", daemon=True)
    listener.start()
    try:
        yield
    finally:
        stop.set()
        listener.join(2)
