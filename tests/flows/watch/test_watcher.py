import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from orimap.flows.jobs.job import Standing
from orimap.flows.jobs.outcome import Outcome
from orimap.flows.watch.journal import Journal
from orimap.flows.watch.watched_folder import Watching
from orimap.flows.watch.watcher import Watcher
from orimap.tasks.acquire.arrivals.opening_test import try_to_open
from orimap.tasks.errors import UnavailableError

SCAN = (4, 5, 6, 7)


class Site:
    """A watched folder, its journal, and someone who takes jobs and notes them down."""

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
        """Begin anew, as after a restart: only the journal and who takes jobs remember."""
        self.watcher = Watcher(
            self.watching, self.journal, self, try_to_open,
            note=self.lines.append, announce=lambda entry: self.announced.append(entry.name),
            concludes=lambda job: Outcome(
                key=job.key, acquisition="", state="done", decided_k=3, confidence="high",
                report=str(job.output / "report.html"),
            ),
        )  # fmt: skip

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
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.journal.close()


def test_an_acquisition_is_handed_over_once_and_followed_to_its_end(site):
    site.save("day 1/a.npy")
    site.rounds(4)
    (job,) = site.taken
    assert job.request.file == site.folder / "day 1" / "a.npy"
    assert job.output == site.results / "day 1" / "a.npy"
    assert job.request.k == (1, 4)
    assert site.states() == {"day 1/a.npy": "submitted"}
    site.all_stand("running")
    site.rounds(1)
    site.all_stand("done")
    site.rounds(2)
    (entry,) = site.journal.entries()
    assert (entry.state, entry.decided_k, entry.confidence) == ("done", 3, "high")
    ends = [line for line in site.lines if "report" in line]
    report = site.results / "day 1/a.npy/report.html"
    assert ends == [f"day 1/a.npy: 3 distinct patterns, high confidence; report {report}"]


def test_a_restart_hands_nothing_over_again(site):
    site.save("a.npy")
    site.rounds()
    site.start()
    site.rounds(4)
    site.all_stand("done")
    site.start()
    site.rounds(4)
    assert len(site.taken) == 1
    assert site.states() == {"a.npy": "done"}


def test_touching_a_file_is_nothing_new_and_other_content_is_a_revision(site):
    path = site.save("a.npy")
    site.rounds()
    site.all_stand("done")
    os.utime(path, (5, 5))
    site.rounds(4)
    assert (site.states(), len(site.taken)) == ({"a.npy": "done"}, 1)
    site.save("a.npy", seed=2)  # of the same size
    site.rounds(4)
    assert site.states() == {"a.npy": "done", "a.npy (revision 2)": "submitted"}
    assert site.taken[1].output == site.results / "a.npy.r2"
    site.save("a.npy", seed=2, shape=(5, 5, 6, 7))
    site.save("a.npy", seed=2)  # written again, and the same in the end
    site.rounds(4)
    assert len(site.taken) == 2


def test_a_copy_that_ends_as_what_was_there_leaves_no_revision(site):
    path = site.save("a.npy")
    whole = path.read_bytes()
    site.rounds()
    site.all_stand("done")
    path.write_bytes(whole[:500])
    site.rounds(3)
    assert site.states() == {"a.npy": "done", "a.npy (revision 2)": "seen"}
    path.write_bytes(whole)
    site.rounds(3)
    assert site.states() == {"a.npy": "done"}
    assert len(site.taken) == 1


def test_work_on_files_that_are_written_again_is_ended(site):
    site.save("a.npy")
    site.rounds()
    site.save("a.npy", seed=2)
    site.rounds()
    assert site.cancelled == [site.taken[0].key]
    assert site.states() == {"a.npy": "failed", "a.npy (revision 2)": "submitted"}


def test_a_sidecar_decides_for_its_acquisition(site):
    site.save("stack.npy", shape=(20, 6, 7))
    site.rounds(3)
    assert site.states() == {"stack.npy": "quarantined"}
    assert site.announced == ["stack.npy"]
    (entry,) = site.journal.entries()
    assert "--scan-shape" in entry.reason
    (site.folder / "stack.npy.orimap.yaml").write_text("scan-shape: 4x5\nk: 2:3\n")
    site.rounds(3)
    (job,) = site.taken
    assert (job.request.scan_shape, job.request.k) == ((4, 5), (2, 3))
    assert len(site.announced) == 1


def test_a_sidecar_that_is_at_fault_puts_its_acquisition_aside(site):
    site.save("a.npy")
    (site.folder / "a.orimap.yaml").write_text("output: /somewhere\n")
    site.save("b.npy")
    site.rounds(3)
    assert site.states() == {"a.npy": "quarantined", "b.npy": "submitted"}
    assert "output in a.orimap.yaml" in site.journal.find("a.npy").reason


def test_bad_data_is_put_aside_once_and_the_next_goes_on(site):
    (site.folder / "a.blo").write_text("only words, many of them, more than a header takes")
    site.save("overview.npy", shape=(5, 6))
    site.save("b.npy")
    for _ in range(3):
        site.rounds(3)
        site.start()
    assert site.states() == {
        "a.blo": "quarantined", "b.npy": "submitted", "overview.npy": "not a scan",
    }  # fmt: skip
    assert site.announced == ["a.blo"]


def test_the_disk_floor_and_the_room_hold_jobs_back_and_are_told_once(tmp_path):
    site = Site(tmp_path, disk_floor_bytes=2**62)
    site.save("a.npy")
    site.rounds(4)
    assert (site.taken, site.states()) == ([], {"a.npy": "settled"})
    assert "nothing is handed over" in site.journal.meta("held")
    assert sum("nothing is handed over" in line for line in site.lines) == 1
    site.watcher.dispatch.watching = Watching(
        **{**vars(site.watching), "disk_floor_bytes": 0, "newest_first": True}
    )
    for number, name in enumerate(("b.npy", "c.npy")):
        os.utime(site.save(name, seed=5 + number), (2e9 + number, 2e9 + number))
    site.places = 0
    site.rounds(3)
    assert (site.taken, site.journal.meta("held")) == ([], "")
    assert site.lines.count("jobs are handed over again") == 1
    site.places = 1
    site.rounds(1)
    assert [job.request.file.name for job in site.taken] == ["c.npy", "b.npy", "a.npy"]
    site.journal.close()


def test_who_takes_jobs_may_be_away_for_a_while(site):
    site.save("a.npy")
    site.away = ConnectionError("refused")
    site.rounds(4)
    assert site.states() == {"a.npy": "settled"}
    assert "ConnectionError: refused" in site.journal.meta("held")
    site.away = None
    site.watcher.dispatch._again_at = 0.0
    site.rounds(1)
    assert len(site.taken) == 1
    site.away = UnavailableError("a server", "none", "start it")
    site.rounds(2)
    assert site.states() == {"a.npy": "submitted"}
    assert "found: none; start it" in site.journal.meta("held")


def test_a_job_that_is_lost_is_handed_over_again_but_not_for_ever(site):
    site.save("a.npy")
    site.rounds()
    for handed_over in (2, 3):
        site.all_stand("lost", "gone")
        site.taken.clear()
        site.rounds(1)
        assert site.journal.entries()[0].handed_over == handed_over
    site.all_stand("lost", "gone")
    site.rounds(1)
    (entry,) = site.journal.entries()
    assert (entry.state, entry.reason) == ("failed", "lost 3 times: gone")


def test_a_success_without_results_is_a_failure(site):
    site.save("a.npy")
    site.rounds()
    site.all_stand("done")
    site.watcher.dispatch.concludes = type(site.watcher.dispatch).__init__.__defaults__[0]
    site.rounds(1)
    (entry,) = site.journal.entries()
    assert entry.state == "failed"
    assert "holds no outcome of it" in entry.reason


def test_a_folder_that_goes_away_and_comes_back_costs_nothing(site):
    site.save("a.npy")
    site.rounds(1)
    site.folder.rename(site.folder.with_name("elsewhere"))
    site.rounds(3)
    assert sum("cannot be listed" in line for line in site.lines) == 1
    site.folder.with_name("elsewhere").rename(site.folder)
    site.rounds(3)
    assert site.lines.count(f"{site.folder} is there again") == 1
    assert site.states() == {"a.npy": "submitted"}


def test_a_file_that_goes_away_before_its_turn_waits_for_it_to_come_back(site):
    path = site.save("a.npy")
    site.places = 0
    site.rounds(3)
    path.rename(site.folder / "a.part")
    site.places = 9
    site.rounds(2)
    assert (site.taken, site.states()) == ([], {"a.npy": "settled"})
    (site.folder / "a.part").rename(path)
    site.rounds(2)
    assert len(site.taken) == 1


def test_a_name_for_the_time_of_writing_is_forgotten(site):
    path = site.save("a.npy")
    site.rounds(1)
    path.rename(site.folder / "b.npy")
    site.rounds(3)
    assert site.states() == {"b.npy": "submitted"}


def test_nothing_is_written_beside_or_into_the_acquisitions(site):
    path = site.save("day/a.npy")
    before = (path.stat().st_mtime_ns, path.read_bytes(), sorted(site.folder.rglob("*")))
    site.rounds(3)
    site.all_stand("done")
    site.rounds(1)
    assert before == (path.stat().st_mtime_ns, path.read_bytes(), sorted(site.folder.rglob("*")))


def test_the_clock_of_the_machine_does_not_matter(site, monkeypatch):
    import time

    site.save("a.npy")
    site.rounds(1)
    monkeypatch.setattr(time, "time", lambda: -1e9)
    site.rounds(2)
    assert site.states() == {"a.npy": "submitted"}


@pytest.mark.parametrize("notifies", [True, False])
def test_a_file_that_is_copied_slowly_is_found_with_and_without_notifications(
    tmp_path, monkeypatch, notifies
):
    site = Site(tmp_path, settle_seconds=0.5, poll_seconds=0.2)
    if not notifies:
        import watchfiles

        def refuse(*_, **__):
            raise OSError("no space left for watches")

        monkeypatch.setattr(watchfiles, "watch", refuse)
    source = tmp_path / "source.npy"
    np.save(source, np.full((8, 9, 30, 30), 7, np.uint16))
    whole, sizes = source.read_bytes(), []
    site.submit = lambda job: (sizes.append(job.request.file.stat().st_size), job.key)[1]

    def copy():
        with (site.folder / "a.npy").open("wb") as file:
            for start in range(0, len(whole), 20_000):
                file.write(whole[start : start + 20_000])
                file.flush()
                threading.Event().wait(0.15)

    copying, stop = threading.Thread(target=copy), threading.Event()
    running = threading.Thread(target=site.watcher.run, args=(stop,))
    running.start(), copying.start()
    for _ in range(300):
        if sizes:
            break
        threading.Event().wait(0.1)
    stop.set(), site.watcher.wake.set()
    copying.join(), running.join(20)
    assert not running.is_alive()
    assert sizes == [len(whole)]
    assert any("no notifications" in line for line in site.lines) is not notifies
    site.journal.close()


def test_once_ends_when_all_that_is_left_waits_for_someone_else(tmp_path):
    site = Site(tmp_path, settle_seconds=0.05)
    site.save("a.npy")
    short = site.save("b.npy")
    with short.open("r+b") as file:
        file.truncate(900)
    site.all_stand = lambda *a: None
    site.standing = lambda reference: Standing("done")
    site.watcher.run(threading.Event(), once=True)
    assert site.states() == {"a.npy": "done", "b.npy": "seen"}
    site.journal.close()


# In a process of its own: forks one that is killed at the n-th point between two writes, then one
# that goes on, until one gets through; tells what was handed over.
KILLED_EVERYWHERE = """
import contextlib, json, os, signal, sys
from pathlib import Path
import orimap.tasks.acquire.formats.readers  # once, before anything is forked
from orimap.flows.jobs.job import Standing
from orimap.flows.watch.journal import Journal
from orimap.flows.jobs.outcome import Outcome
from orimap.flows.watch.watcher import Watcher
from orimap.flows.watch.watched_folder import Watching
from orimap.tasks.acquire.arrivals.opening_test import try_to_open

root, left = Path(sys.argv[1]), None

def point():
    global left
    if left is not None:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

class Dying(Journal):
    @contextlib.contextmanager
    def _transaction(self):
        point()
        with super()._transaction():
            yield
            point()
        point()

class Submitter:
    def __init__(self, folder):
        self.record = folder / "record"
        self.record.touch()
    def find(self, job):
        return job.key if job.key in self.record.read_text().split() else None
    def submit(self, job):
        point()
        with self.record.open("a") as file:
            file.write(job.key + "\\n")
        point()
        return job.key
    def standing(self, reference):
        return Standing("done" if reference in self.record.read_text() else "lost")
    def cancel(self, reference): pass
    def room(self): return 9

def concludes(job):
    return Outcome(key=job.key, acquisition="", state="done", decided_k=3, confidence="high")

def watch(place):
    watching = Watching(folder=root / "watched", results=place, state=place, settle_seconds=0.0,
                        poll_seconds=0.01, options={"k": "1:4"})
    with Dying(place / "journal.sqlite") as journal:
        watcher = Watcher(watching, journal, Submitter(place), try_to_open,
                          note=lambda line: None, concludes=concludes)
        for _ in range(9):
            watcher.round()

def fork(place, points):
    global left
    child = os.fork()
    if child == 0:
        left = points
        watch(place)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

found, points, code = [], 0, -9
while code == -9:
    place = root / f"place{points}"
    place.mkdir()
    code = fork(place, points)
    assert fork(place, None) == 0
    with Journal(place / "journal.sqlite") as journal:
        ends = [(entry.name, entry.revision, entry.state) for entry in journal.entries()]
        states = [len(journal.history(entry.number)) for entry in journal.entries()]
    found.append((code, (place / "record").read_text().split(), ends, states))
    points += 1
print(json.dumps(found))
"""


def test_killed_between_any_two_writes_each_acquisition_is_handed_over_exactly_once(tmp_path):
    (tmp_path / "watched").mkdir()
    for seed, name in enumerate(("a.npy", "b.npy")):
        np.save(tmp_path / "watched" / name, np.random.default_rng(seed).integers(1, 9, SCAN))
    done = subprocess.run(
        [sys.executable, "-c", KILLED_EVERYWHERE, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, timeout=280, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    codes = [code for code, *_ in found]
    # Two acquisitions, four steps each; before, in and after each write, and around handing over.
    assert len(found) > 2 * (4 * 3 + 2)
    assert codes == [-9] * (len(found) - 1) + [0]
    for _, record, ends, states in found:
        assert len(record) == 2
        assert len(set(record)) == 2
        assert ends == [["a.npy", 1, "done"], ["b.npy", 1, "done"]]
        assert states == [4, 4]
