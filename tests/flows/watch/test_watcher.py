import json
import subprocess
import sys
import threading

import numpy as np
import pytest

from orimap.flows.jobs.job import Standing
from orimap.flows.watch.watcher import Watcher

SCAN = (4, 5, 6, 7)


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


def test_a_round_says_when_there_is_something_to_look_at_again(make_site):
    site = make_site(settle_seconds=2.0, poll_seconds=60.0)
    watcher = Watcher(site.watcher.context)
    assert watcher.round() == 60.0
    site.save("a.npy")
    assert 0 < watcher.round() <= 2.0


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
    make_site, tmp_path, monkeypatch, notifies
):
    site = make_site(settle_seconds=0.5, poll_seconds=0.2)
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


def test_once_ends_when_all_that_is_left_waits_for_someone_else(make_site):
    site = make_site(settle_seconds=0.05)
    site.save("a.npy")
    short = site.save("b.npy")
    with short.open("r+b") as file:
        file.truncate(900)
    site.all_stand = lambda *a: None
    site.standing = lambda reference: Standing("done")
    site.watcher.run(threading.Event(), once=True)
    assert site.states() == {"a.npy": "done", "b.npy": "seen"}
    (said,) = [line for line in site.lines if "left for now" in line]
    assert said.startswith("b.npy: left for now, ")


# In a process of its own: forks one that is killed at the n-th point between two writes, then one
# that goes on, until one gets through; tells what was handed over.
KILLED_EVERYWHERE = """
import contextlib, json, os, signal, sys
from pathlib import Path
import orimap.tasks.acquire.formats.readers  # once, before anything is forked
from orimap.flows.jobs.job import Standing
from orimap.flows.watch.journal import Journal
from orimap.flows.jobs.outcome import Outcome
from orimap.flows.watch.context import QuietLog, WatcherContext
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
        context = WatcherContext(watching, journal, Submitter(place), try_to_open,
                                 log=QuietLog(lambda line: None), concludes=concludes)
        watcher = Watcher(context)
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
