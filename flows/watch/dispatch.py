"""From the journal to the submitter, and back: hand jobs over, ask for their states, conclude.

Before a job is handed over, the submitter is asked whether it has it: so it is handed over once,
even if an earlier watcher died before it wrote that down.
"""

import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from orimap.flows.jobs.job import Standing
from orimap.flows.jobs.outcome import read_outcome
from orimap.flows.request.allowed import under_root
from orimap.flows.watch.context import WatcherContext
from orimap.flows.watch.journal import CHANGED, UNDER_WAY, Entry
from orimap.tasks.acquire.arrivals.find_arrivals import Arrival
from orimap.tasks.errors import InputError, words_of
from orimap.tasks.report.words import bytes_text, headline

T = TypeVar("T")

HANDED_OVER_AT_MOST = 3
# After the submitter could not be reached: the first wait, and the longest.
AGAIN_SECONDS, AGAIN_AT_MOST_SECONDS = 5.0, 300.0


class _NoAnswerError(Exception):
    """The submitter did not answer, which has been logged."""


class Dispatch:
    """Hands jobs over and follows them.

    Parameters
    ----------
    context : WatcherContext
    """

    def __init__(self, context: WatcherContext) -> None:
        self.context, self.log = context, context.log
        self.watching, self.journal = context.watching, context.journal
        self._all_asked_for = False
        self._again_at, self._again_seconds = 0.0, AGAIN_SECONDS
        self._held = {"submitter": "", "disk": ""}

    def go(self, arrivals: Mapping[str, Arrival]) -> None:
        """Ask for the states of jobs, and hand over what has settled and is there."""
        if time.monotonic() < self._again_at:
            return
        try:
            for entry in self.journal.entries("submitted", "running"):
                what = f"asking for {entry.title}"
                standing = self._ask(what, self.context.submitter.standing, entry.reference)
                self._guarded(entry, self._stands, entry, standing)
            self._hand_over(arrivals)
        except _NoAnswerError:
            return
        self._again_seconds = AGAIN_SECONDS
        self._hold("submitter", "")

    def _ask(self, what: str, call: Callable[..., T], *arguments: object) -> T:
        """Ask the submitter; if that does not work, come back after a wait that grows.

        That is never the fault of the acquisition, which has been opened, or of its options,
        which are checked: the next one would fare no better.
        """
        try:
            return call(*arguments)
        except Exception as error:  # of any client: the submitter may answer in a minute
            words = f"{type(error).__name__}: {words_of(error)}"
            if isinstance(error, InputError):
                words = error.in_one_line
            self._again_at = time.monotonic() + self._again_seconds
            self._again_seconds = min(2 * self._again_seconds, AGAIN_AT_MOST_SECONDS)
            self._hold("submitter", f"{what} did not work ({words})")
            raise _NoAnswerError from error

    def _guarded(self, entry: Entry, step: Callable[..., object], *arguments: object) -> None:
        """Do something for one job; whatever goes wrong with it never touches another."""
        try:
            step(*arguments)
        except (_NoAnswerError, sqlite3.Error):
            raise  # the trouble of all
        except Exception as error:
            words = f"{type(error).__name__}: {words_of(error)}"
            now = self.journal.entry(entry.number)
            if now.state in UNDER_WAY:
                self._fail(now, words)
            else:
                self.log.note(f"{entry.title}: {words}")

    def _stands(self, entry: Entry, standing: Standing) -> None:
        """Write down the state of one job."""
        if standing.state == "done":
            self._conclude(entry)
        elif standing.state == "failed":
            self._fail(entry, standing.reason)
            outcome = read_outcome(entry.job.output)
            if outcome is not None and (outcome.key, outcome.kind) == (entry.job.key, "changed"):
                # Whatever it is now, it is taken in anew.
                self.journal.note(entry, signature=CHANGED)
        elif standing.state == "lost" and entry.handed_over < HANDED_OVER_AT_MOST:
            self.journal.move(entry, "settled", f"submitted again: {standing.reason}")
            self.log.note(f"{entry.title}: lost ({standing.reason}); submitted again")
        elif standing.state == "lost":
            self._fail(entry, f"lost {entry.handed_over} times: {standing.reason}")
        elif standing.state == "running" and entry.state != "running":
            self.journal.move(entry, "running", standing.reason)
            self.log.note(f"{entry.title}: running")
        elif standing.state == "waiting" and entry.state != "submitted":
            self.journal.move(entry, "submitted", standing.reason)

    def _conclude(self, entry: Entry) -> None:
        """Take a job for done after a look at its results."""
        try:
            outcome = self.context.concludes(entry.job)
        except LookupError as error:
            self._fail(entry, str(error))
            return
        found = headline(
            outcome.decided_k,
            outcome.confidence,
            crystal=outcome.crystal_found,
            countable=outcome.countable,
        )
        self.journal.move(
            entry, "done", found, decided_k=outcome.decided_k, confidence=outcome.confidence
        )
        self.log.note(f"{entry.title}: {found}; report {outcome.report}")

    def _fail(self, entry: Entry, why: str) -> None:
        self.journal.move(entry, "failed", why)
        self.log.note(f"{entry.title}: failed: {why}")

    def _hand_over(self, arrivals: Mapping[str, Arrival]) -> None:
        """Hand over what has settled, as far as there is room."""
        waiting = self.journal.entries("settled")
        waiting.sort(key=lambda e: (e.written, e.number), reverse=self.watching.newest_first)
        if not self._all_asked_for:
            for entry in waiting:
                self._guarded(entry, self._there_already, entry)
            self._all_asked_for = True
            waiting = [e for e in waiting if self.journal.entry(e.number).state == "settled"]
        if self._disk_full(bool(waiting)):
            return
        for entry in waiting:
            arrival = arrivals.get(entry.name)
            if arrival is None or arrival.signature != entry.signature:
                continue  # moved away, or being written again
            if self._ask("asking how many jobs it takes", self.context.submitter.room) < 1:
                return
            self._guarded(entry, self._hand_one_over, entry)

    def _hand_one_over(self, entry: Entry) -> None:
        """Hand over one job, unless the submitter has it."""
        if not self._there_already(entry):
            self._submit(entry)

    def _there_already(self, entry: Entry) -> bool:
        """Return whether the submitter has a job already that is about to be handed over."""
        reference = self._ask(f"asking for {entry.title}", self.context.submitter.find, entry.job)
        if reference is not None:
            self._submitted(entry, reference)
        return reference is not None

    def _submit(self, entry: Entry) -> None:
        """Hand over one job."""
        try:
            under_root(entry.job.request.file, [self.watching.folder])
        except InputError as error:  # a link has come in its place
            self._fail(entry, error.in_one_line)
            self.context.announce(self.journal.entry(entry.number))
            return
        what = f"submitting {entry.title}"
        self._submitted(entry, self._ask(what, self.context.submitter.submit, entry.job))

    def _submitted(self, entry: Entry, reference: str) -> None:
        self.journal.move(
            entry, "submitted", reference=reference, handed_over=entry.handed_over + 1
        )

    def _disk_full(self, anything_waits: bool) -> bool:
        """Return whether too little room is left for the results of what waits."""
        floor, results = self.watching.disk_floor_bytes, self.watching.results
        words = ""
        try:
            if anything_waits and shutil.disk_usage(results).free < floor:
                words = f"less than {bytes_text(floor)} free in {results}"
        except OSError as error:
            words = f"{results} cannot be looked at ({error.strerror or error})"
        self._hold("disk", words and f"{words}: nothing is submitted")
        return bool(words)

    def _hold(self, why: str, words: str) -> None:
        """Log once that nothing is submitted and why, and once that it goes on."""
        self._held[why] = words
        held = "; ".join(filter(None, self._held.values()))
        if self.journal.meta("held") != held:
            self.journal.set_meta("held", held)
        self.log.say(why, words, after="jobs are submitted again")
