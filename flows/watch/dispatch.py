"""From the journal to whoever takes jobs, and back: hand over, ask how jobs stand, conclude.

Before a job is handed over, whoever takes jobs is asked for it: so it is handed over once, even
where the one who did it died before writing it down.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import orimap.tasks.store.run_folder  # noqa: F401  (seconds, for the key of a job: not when one waits)
from orimap.flows.jobs.job import Job, Standing, Submitter
from orimap.flows.jobs.outcome import Outcome, read_outcome
from orimap.flows.request.allowed import under_root
from orimap.flows.watch.journal import Entry, Journal
from orimap.flows.watch.watched_folder import Told, Watching
from orimap.tasks.acquire.arrivals.find_arrivals import Arrival
from orimap.tasks.errors import InputError
from orimap.tasks.report.words import bytes_text, headline

T = TypeVar("T")

HANDED_OVER_AT_MOST = 3
# After whoever takes jobs could not be reached: the first wait, and the longest.
AGAIN_SECONDS, AGAIN_AT_MOST_SECONDS = 5.0, 300.0


def checked_outcome(job: Job) -> Outcome:
    """Return the outcome of a job that is said to be done, after a look at its results.

    Raises
    ------
    LookupError
        If there is none, or the results are not whole.
    """
    outcome = read_outcome(job.output)
    if outcome is None or outcome.key != job.key:
        raise LookupError(f"it is said to be done, but {job.output} holds no outcome of it")
    if not outcome.checked:
        raise LookupError(f"it is said to be done, but the results in {job.output} are not whole")
    return outcome


class _NoAnswerError(Exception):
    """Whoever takes jobs could not be asked; it is told already."""


class Dispatch:
    """Hands jobs over and follows them.

    Parameters
    ----------
    watching : Watching
    journal : Journal
    submitter : Submitter
    told : Told
    announce : callable
        Called with an entry that was not even begun.
    concludes : callable
        Looks at the results of a job that is said to be done.
    """

    def __init__(
        self,
        watching: Watching,
        journal: Journal,
        submitter: Submitter,
        told: Told,
        announce: Callable[[Entry], None],
        concludes: Callable[[Job], Outcome] = checked_outcome,
    ) -> None:
        self.watching, self.journal, self.submitter = watching, journal, submitter
        self.told, self.announce, self.concludes = told, announce, concludes
        self._all_asked_for = False
        self._again_at, self._again_seconds = 0.0, AGAIN_SECONDS
        self._held = {"submitter": "", "disk": ""}

    def go(self, arrivals: Mapping[str, Arrival]) -> None:
        """Ask how jobs stand, and hand over what has settled and is there."""
        if time.monotonic() < self._again_at:
            return
        try:
            for entry in self.journal.entries("submitted", "running"):
                what = f"asking for {entry.title}"
                self._stands(entry, self._ask(what, self.submitter.standing, entry.reference))
            self._hand_over(arrivals)
        except _NoAnswerError:
            return
        self._again_seconds = AGAIN_SECONDS
        self._hold("submitter", "")

    def _ask(self, what: str, call: Callable[..., T], *arguments: object) -> T:
        """Ask whoever takes jobs; where that does not work come back later, each time later.

        That is never the fault of the acquisition, which has been opened, or of its options,
        which are checked: the next one would fare no better.
        """
        try:
            return call(*arguments)
        except Exception as error:  # of whatever client it takes: it may answer in a minute
            words = f"{type(error).__name__}: {' '.join(str(error).split())}"
            if isinstance(error, InputError):
                words = error.in_one_line
            self._again_at = time.monotonic() + self._again_seconds
            self._again_seconds = min(2 * self._again_seconds, AGAIN_AT_MOST_SECONDS)
            self._hold("submitter", f"{what} did not work ({words})")
            raise _NoAnswerError from error

    def _stands(self, entry: Entry, standing: Standing) -> None:
        """Keep how one job stands."""
        if standing.state == "done":
            self._conclude(entry)
        elif standing.state == "failed":
            self._fail(entry, standing.reason)
        elif standing.state == "lost" and entry.handed_over < HANDED_OVER_AT_MOST:
            self.journal.move(entry, "settled", f"handed over again: {standing.reason}")
            self.told.note(f"{entry.title}: lost ({standing.reason}); handed over again")
        elif standing.state == "lost":
            self._fail(entry, f"lost {entry.handed_over} times: {standing.reason}")
        elif standing.state == "running" and entry.state != "running":
            self.journal.move(entry, "running", standing.reason)
            self.told.note(f"{entry.title}: running")
        elif standing.state == "waiting" and entry.state != "submitted":
            self.journal.move(entry, "submitted", standing.reason)

    def _conclude(self, entry: Entry) -> None:
        """Believe that a job is done when its results are looked at."""
        try:
            outcome = self.concludes(entry.job)
        except LookupError as error:
            self._fail(entry, str(error))
            return
        found = headline(outcome.decided_k, outcome.confidence)
        self.journal.move(
            entry, "done", found, decided_k=outcome.decided_k, confidence=outcome.confidence
        )
        self.told.note(f"{entry.title}: {found}; report {outcome.report}")

    def _fail(self, entry: Entry, why: str) -> None:
        self.journal.move(entry, "failed", why)
        self.told.note(f"{entry.title}: failed: {why}")

    def _hand_over(self, arrivals: Mapping[str, Arrival]) -> None:
        """Hand over what has settled, as far as there is room."""
        waiting = self.journal.entries("settled")
        waiting.sort(key=lambda e: (e.written, e.number), reverse=self.watching.newest_first)
        if not self._all_asked_for:
            waiting = [entry for entry in waiting if not self._there_already(entry)]
            self._all_asked_for = True
        if self._disk_full(bool(waiting)):
            return
        for entry in waiting:
            arrival = arrivals.get(entry.name)
            if arrival is None or arrival.signature != entry.signature:
                continue  # moved away, or being written again
            if self._ask("asking for room", self.submitter.room) < 1:
                return
            if not self._there_already(entry):
                self._submit(entry)

    def _there_already(self, entry: Entry) -> bool:
        """Ask for a job that is about to be handed over."""
        reference = self._ask(f"asking for {entry.title}", self.submitter.find, entry.job)
        if reference is not None:
            self._submitted(entry, reference)
        return reference is not None

    def _submit(self, entry: Entry) -> None:
        """Hand over one job."""
        try:
            under_root(entry.job.request.file, [self.watching.folder])
        except InputError as error:  # a link has come in its place
            self._fail(entry, error.in_one_line)
            self.announce(self.journal.entry(entry.number))
            return
        what = f"handing over {entry.title}"
        self._submitted(entry, self._ask(what, self.submitter.submit, entry.job))

    def _submitted(self, entry: Entry, reference: str) -> None:
        self.journal.move(
            entry, "submitted", reference=reference, handed_over=entry.handed_over + 1
        )

    def _disk_full(self, anything_waits: bool) -> bool:
        """Tell whether too little room is left for the results of what waits."""
        floor = self.watching.disk_floor_bytes
        full = anything_waits and shutil.disk_usage(self.watching.results).free < floor
        words = ""
        if full:
            words = f"less than {bytes_text(floor)} free in {self.watching.results}"
        self._hold("disk", words and f"{words}: nothing is handed over")
        return full

    def _hold(self, why: str, words: str) -> None:
        """Tell, once, that nothing is handed over and why, and once that it goes on."""
        self._held[why] = words
        held = "; ".join(filter(None, self._held.values()))
        if self.journal.meta("held") != held:
            self.journal.set_meta("held", held)
        self.told.say(why, words, after="jobs are handed over again")
