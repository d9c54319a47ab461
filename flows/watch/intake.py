"""From what lies in a folder to the journal: find what is finished, and make its job."""

import re
import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path

from orimap.flows.jobs.job import Job
from orimap.flows.request.request import Request
from orimap.flows.request.sidecar import NOT_HERE
from orimap.flows.watch.context import WatcherContext, without_numbers
from orimap.flows.watch.journal import CHANGED, ID_LETTERS, UNDER_WAY, Entry
from orimap.flows.watch.replay import replay_entry
from orimap.flows.watch.watched_folder import Watching
from orimap.tasks.acquire.arrivals.find_arrivals import Arrival
from orimap.tasks.acquire.arrivals.finished import Finishing, Judgement, Opened
from orimap.tasks.acquire.arrivals.sidecar_name import sidecar_names
from orimap.tasks.errors import InputError, words_of
from orimap.tasks.lines import printable


class Intake:
    """Takes in what arrives.

    Parameters
    ----------
    context : WatcherContext
    """

    def __init__(self, context: WatcherContext) -> None:
        self.context, self.log = context, context.log
        self.watching, self.journal = context.watching, context.journal
        self.finishing = Finishing(
            self.watching.folder,
            self._opens,
            settle_seconds=self.watching.settle_seconds,
            patience_seconds=self.watching.patience_seconds,
        )
        # Names of what waits for someone else to go on with it.
        self.stalled: set[str] = set()
        self.walk_seconds = 0.0

    def look(self) -> dict[str, Arrival] | None:
        """Return what is in the folder by name, None where the folder is not there now."""
        complaints: dict[str, str] = {}
        folder, began = self.watching.folder, time.monotonic()
        try:
            found = self.watching.look(lambda path, why: complaints.update({f"{path}": why}))
        except OSError as error:
            self.log.say("folder", f"{folder} cannot be listed ({error.strerror}): waiting for it")
            return None
        self.walk_seconds = time.monotonic() - began
        self.log.say("folder", "", after=f"{folder} is available again")
        for path, why in complaints.items():
            self.log.say(path, f"{printable(path)} {why}")
        return {self.watching.name(arrival): arrival for arrival in found}

    def consider(self, arrival: Arrival, last: Entry | None) -> Judgement | None:
        """Return how far one acquisition has come; None where that is known already.

        Whatever goes wrong with it is its own trouble: it is put aside, and the others go on.
        ``last`` is its last revision in the journal.
        """
        name = self.watching.name(arrival)
        try:
            return self._consider(arrival, last)
        except sqlite3.Error:
            raise  # the journal itself, on which all depends
        except Exception as error:
            words = f"{type(error).__name__}: {words_of(error)}"
            judged = Judgement("quarantined", f"it could not be examined ({words})")
            try:
                entry = self.journal.latest().get(name)
                if entry is None or entry.state != "seen":
                    entry = self._see(arrival, judged)
                self._put_aside(entry, arrival, judged)
            except Exception as again:
                self.log.say(name, printable(f"{name}: {judged.words}; not noted down ({again})"))
                self.stalled.add(name)
            return None

    def _consider(self, arrival: Arrival, last: Entry | None) -> Judgement | None:
        """Return how far one acquisition has come, as `consider` does."""
        name = self.watching.name(arrival)
        known = last is not None and last.state != "seen"
        if known and last.signature == arrival.signature:
            return None
        if last is None or last.state == "seen" or last.signature == CHANGED:
            self.finishing.judge_anew(arrival.main)
        try:
            judged = self.finishing.judge(arrival, time.monotonic())
        except OSError as error:
            self.log.say(name, f"{name} cannot be read now ({error.strerror or error})")
            return None
        self.log.say(name, "")
        entry = self._seen(last, arrival, judged)
        if judged.state == "settled":
            self._settle(entry, arrival, judged)
        elif judged.state in ("quarantined", "not a scan"):
            self._put_aside(entry or self._see(arrival, judged), arrival, judged)
        elif entry is not None and without_numbers(entry.reason) != without_numbers(judged.words):
            self.journal.note(entry, reason=judged.words)
        (self.stalled.add if judged.stalled else self.stalled.discard)(name)
        return judged

    def _seen(self, last: Entry | None, arrival: Arrival, judged: Judgement) -> Entry | None:
        """Return the entry that is being written; None where it may be that only times changed."""
        if last is not None and last.state == "seen":
            return last
        if last is not None and last.state in ("quarantined", "not a scan") and not last.identity:
            return self.journal.move(last, "seen", "it has changed")
        if last is None or last.size != arrival.size:
            return self._see(arrival, judged)
        return None

    def _see(self, arrival: Arrival, judged: Judgement) -> Entry:
        """Begin an entry."""
        return self.journal.see(
            self.watching.name(arrival),
            judged.words,
            size=arrival.size,
            written=arrival.written,
        )

    def _settle(self, entry: Entry | None, arrival: Arrival, judged: Judgement) -> None:
        """Fix what is analysed: the content, and with it the job."""
        name = self.watching.name(arrival)
        before = self._before(name)
        if before is not None and before.identity == judged.digest:
            if (before.state, before.signature) == ("failed", CHANGED):
                # Written again with the same content: the one analysis that it had has been lost.
                self.log.note(replay_entry(self.journal, before, {}, dry_run=False))
            self.journal.note(before, signature=arrival.signature)
            if entry is not None:
                self.journal.forget(entry, f"its content is that of revision {before.revision}")
            return
        entry = entry or self._see(arrival, judged)
        try:
            request = self.watching.request(name, self.watching.output(name, entry.revision))
        except InputError as error:
            self._put_aside(entry, arrival, Judgement("quarantined", error.in_one_line))
            return
        if judged.keep_rows:
            request = request.model_copy(update={"keep_rows": judged.keep_rows})
        job = Job(acquisition=judged.digest[:ID_LETTERS], request=request)
        if not self._replace(before, entry.revision):
            return
        settled = self.journal.move(
            entry,
            "settled",
            f"{judged.words}; waits for its turn",
            identity=judged.digest,
            signature=arrival.signature,
            size=arrival.size,
            written=arrival.written,
            job=job,
            analyses=1,
        )
        self.log.note(f"{settled.title}: {judged.words}, {arrival.size:,} bytes, id {settled.id}")

    def _before(self, name: str) -> Entry | None:
        """Return the last revision of a name whose content is known."""
        known = [e for e in self.journal.entries() if e.name == name and e.identity]
        return known[-1] if known else None

    def _replace(self, before: Entry | None, revision: int) -> bool:
        """End the work on content that has been replaced; return whether that worked."""
        if before is None or before.state not in UNDER_WAY:
            return True
        words = f"its files were written again: see revision {revision}"
        try:
            if before.reference:
                self.context.submitter.cancel(before.reference)
        except Exception as error:  # of any client: the submitter may answer in a minute
            why = words_of(error)
            self.log.say(f"end {before.number}", f"{before.title}: could not be ended ({why})")
            return False
        self.journal.move(before, "failed", words)
        self.log.note(f"{before.title}: {words}")
        return True

    def _put_aside(self, entry: Entry, arrival: Arrival, judged: Judgement) -> None:
        """Leave an acquisition alone until it changes."""
        facts = {"signature": arrival.signature, "size": arrival.size}
        words = judged.words
        if judged.state == "quarantined":
            words = with_place_of_options(words, arrival.main)
        entry = self.journal.move(entry, judged.state, words, **facts)
        if judged.state == "quarantined":
            self.log.note(f"{entry.title}: quarantined because {words}")
            self.context.announce(entry)

    def forget_gone(self, arrivals: Collection[str]) -> None:
        """Forget what went before it was finished: a name that was only for the time of writing."""
        self.finishing.keep_only({self.watching.folder / name for name in arrivals})
        for entry in self.journal.entries("seen"):
            if entry.name not in arrivals:
                self.journal.forget(entry, "gone before it was finished")
                self.log.note(f"{entry.title}: gone before it was finished")

    def _opens(self, arrival: Arrival) -> Opened:
        return open_as_asked(self.watching, self.context.opens, arrival)


def with_place_of_options(words: str, acquisition: Path) -> str:
    """Return a reason that names options of the command line with where they go for one file."""
    named = re.findall(r"(?<![\w-])--([a-z][a-z-]*)", words)
    for option in named:
        if option.replace("-", "_") in Request.model_fields.keys() - NOT_HERE:
            return (
                f"{words} (for this file alone: write it as {option}: ... into "
                f"{sidecar_names(acquisition)[0]} beside it)"
            )
    return words


def open_as_asked(watching: Watching, opens: Callable[..., Opened], arrival: Arrival) -> Opened:
    """Make the opening test as the request says; a request at fault is refused as well."""
    from orimap.flows.pipeline.plan import indexing_of

    name = watching.name(arrival)
    try:
        request = watching.request(name, watching.output(name, 1))
        indexing_of(request)  # crystals are read again by the job: they may have changed by then
    except InputError as error:
        return Opened("refused", error.reason, error.remedy)
    return opens(arrival.main, roots=watching.roots, **request.reading)
