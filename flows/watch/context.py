"""What all parts of a watcher work with, handed through as one; and a log that does not repeat."""

from collections.abc import Callable
from dataclasses import dataclass

from orimap.flows.jobs.job import Job, Submitter
from orimap.flows.jobs.outcome import Outcome, checked_outcome
from orimap.flows.watch.journal import Entry, Journal
from orimap.flows.watch.watched_folder import Watching
from orimap.tasks.acquire.arrivals.finished import Opened


class QuietLog:
    """Writes a line to the log when there is something new to say, and not again every round.

    Parameters
    ----------
    note : callable
        Gets every line.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note
        self._lines: dict[str, str] = {}

    def say(self, about: str, words: str, *, after: str = "") -> None:
        """Log how something is, if that has changed by more than its numbers.

        Parameters
        ----------
        about : str
            What the line is about; each has a line of its own.
        words : str
            The line, empty where all is well.
        after : str
            The line when all is well again.
        """
        before = self._lines.get(about, "")
        if words:
            self._lines[about] = words
            if without_numbers(before) != without_numbers(words):
                self.note(words)
        elif before:
            del self._lines[about]
            if after:
                self.note(after)


def without_numbers(words: str) -> str:
    """Return words without their numbers, which change all the time."""
    return "".join(letter for letter in words if not letter.isdigit())


@dataclass(frozen=True)
class WatcherContext:
    """What intake, dispatch and the watcher itself work with.

    Parameters
    ----------
    watching : Watching
        What is watched, and how.
    journal : Journal
        What is known of every acquisition.
    submitter : Submitter
        Takes jobs.
    opens : callable
        The opening test: takes a path and what the request says of how to open it.
    log : QuietLog
    announce : callable
        Called with an entry that needs someone: put aside, or not even begun.
    concludes : callable
        Takes a job that is said to be done, and returns its outcome after a look at its results.
    """

    watching: Watching
    journal: Journal
    submitter: Submitter
    opens: Callable[..., Opened]
    log: QuietLog
    announce: Callable[[Entry], None] = lambda entry: None
    concludes: Callable[[Job], Outcome] = checked_outcome
