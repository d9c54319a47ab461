"""A watched folder for the tests of the watcher and its parts."""

import numpy as np
import pytest

from orimap.flows.jobs.job import Standing
from orimap.flows.jobs.outcome import Outcome
from orimap.flows.watch.context import QuietLog, WatcherContext
from orimap.flows.watch.journal import Journal
from orimap.flows.watch.watched_folder import Watching
from orimap.flows.watch.watcher import Watcher
from orimap.tasks.acquire.arrivals.opening_test import try_to_open

SCAN = (4, 5, 6, 7)


class Site:
    """A watched folder, its journal, and a submitter that notes down the jobs it takes."""

    def __init__(self, root, **how):
        self.folder, self.results = root / "watched", root / "results"
        self.folder.mkdir()
        self.results.mkdir()
        how = {"settle_seconds": 0.0, "poll_seconds": 0.05, "options": {"k": "1:4"}, **how}
        state = self.results / ".orimap"
        self.watching = Watching(folder=self.folder, results=self.results, state=state, **how)
        self.journal = Journal(state / "journal.sqlite")
        self.lines, self.announced = [], []
        self.taken, self.cancelled, self.standings = [], [], {}
        self.places, self.away = 99, None
        self.start()

    def start(self):
        """Begin anew, as after a restart: only the journal and the submitter remember."""
        context = WatcherContext(
            watching=self.watching,
            journal=self.journal,
            submitter=self,
            opens=try_to_open,
            log=QuietLog(self.lines.append),
            announce=lambda entry: self.announced.append(entry.name),
            concludes=lambda job: Outcome(
                key=job.key, acquisition="", state="done", decided_k=3, confidence="high",
                report=str(job.output / "report.html"),
            ),
        )  # fmt: skip
        self.watcher = Watcher(context)

    def rounds(self, number=2):
        for _ in range(number):
            self.watcher.round()

    def save(self, name, seed=1, shape=SCAN):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(seed).integers(1, 99, shape).astype(np.uint16)
        np.save(path, values)
        return path

    def states(self):
        return {e.title: e.state for e in self.journal.entries()}

    # As a submitter.

    def find(self, job):
        if self.away:
            raise self.away
        return job.key if any(each.key == job.key for each in self.taken) else None

    def submit(self, job):
        self.taken.append(job)
        return job.key

    def standing(self, reference):
        if self.away:
            raise self.away
        return self.standings.get(reference, Standing("waiting"))

    def cancel(self, reference):
        self.cancelled.append(reference)

    def room(self):
        return self.places

    def all_stand(self, state, reason=""):
        self.standings = {job.key: Standing(state, reason) for job in self.taken}


@pytest.fixture
def make_site(tmp_path):
    """Return a function that makes a watched folder; its options are those of Watching."""
    made = []

    def make(**how):
        made.append(Site(tmp_path, **how))
        return made[-1]

    yield make
    for site in made:
        site.journal.close()


@pytest.fixture
def site(make_site):
    """A watched folder in which everything counts as settled at once."""
    return make_site()
