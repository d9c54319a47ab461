"""A watcher for hours in minutes: 200 acquisitions, some at fault, on a busy machine, with kills.

`ORIMAP_SOAK` says how many acquisitions; a table of what was counted is printed at the end.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest

from orimap.flows.jobs.outcome import read_outcome
from orimap.flows.watch.journal import Journal
from orimap.tasks.process_name import NAME
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

ACQUISITIONS = int(os.environ.get("ORIMAP_SOAK", "200"))
FAULTY_EVERY = 20
# The watcher is killed each time so many more are over, and some seconds later: a slow machine gets
# on all the same.
KILL_AFTER = (1, 5)
MOMENT_SECONDS = 10
# Of one acquisition, when four processes want two cores.
SECONDS_EACH = 90
# A watcher of a folder of 200 has some hundred MB; Python's own heap breathes by a few.
MOST_GROWTH_BYTES = 20e6
BUSY = "while True: sum(range(10000))"
PERFORM = ("-m", "orimap.flows", "perform")


@pytest.fixture
def site(monkeypatch, tmp_path):
    """Folders and options, a scan, temporary files apart; no Prefect API is configured."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "no-profiles.toml"))
    (tmp_path / "watched").mkdir()
    (tmp_path / "temporary").mkdir()
    (tmp_path / "run.yaml").write_text("k: 1:2\nworkers: 1\n")
    recipe = ScanRecipe(scan=(5, 6), detector=(32, 32), grains=2, dose=2000, seed=4)
    write_scan(recipe, tmp_path / "scan.npy")
    return tmp_path


@contextlib.contextmanager
def load(processes=2):
    """Keep the machine busy meanwhile."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


def acquire(site, number):
    """Let one acquisition appear: the scan with a count of its own, or a file at fault."""
    name = site / "watched" / f"{number:03d}.npy"
    if number % FAULTY_EVERY == FAULTY_EVERY - 1:
        name.write_bytes((site / "scan.npy").read_bytes()[:64] + b"nothing")
        return
    scan = np.load(site / "scan.npy")
    scan[0, 0, 0, 0] = number
    with tempfile.NamedTemporaryFile(dir=site, suffix=".npy", delete=False) as file:
        np.save(file, scan)
    Path(file.name).rename(name)


def start(site, *options):
    log = (site / "watch.log").open("ab")
    with log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "orimap.flows", "watch", str(site / "watched")),
                *("--results", str(site / "results"), "--config", str(site / "run.yaml")),
                *("--settle", "0.3", "--poll", "0.5", "--patience", "2", "--embedded", *options),
            ],
            stderr=log,
            stdout=log,
            env={**os.environ, "TMPDIR": str(site / "temporary")},
        )


def performed(site):
    """Count the processes that perform each job of this folder now.

    What such a process forks has its command line until it executes another, and is none.
    """
    parents = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if tuple(words[2:5]) == PERFORM and words[5].startswith(str(site)):
                parents[process.pid] = process.ppid(), words[5]
    return Counter(job for parent, job in parents.values() if parent not in parents)


def entries(site):
    path = site / "results" / ".orimap" / "journal.sqlite"
    if not path.exists():
        return []
    with Journal(path, make=False) as journal:
        return journal.entries()


def left(site, semaphores):
    """What killed processes have left: temporary files, half-written results, semaphores."""
    own = [path for path in (site / "temporary").rglob("*") if path.name != f"orimap-{os.getuid()}"]
    half = [path for path in (site / "results").rglob(".*") if re.search(NAME, path.name)]
    half += (site / "results").rglob(".array")
    half += (site / "results").rglob(".unfinished")
    return [*own, *half, *(set(semaphores_now()) - set(semaphores))]


def semaphores_now():
    """Semaphores of this account that have the name of a process, or that of no one."""
    folder = Path("/dev/shm")
    return [path for path in folder.glob("sem.orimap-*") if path.stat().st_uid == os.getuid()]


@pytest.mark.slow
def test_every_acquisition_is_analysed_once_whatever_is_killed(site):
    chance, semaphores = random.Random(1), semaphores_now()
    kills, twice, memory = 0, [], []
    with load():
        last = time.monotonic() + SECONDS_EACH * ACQUISITIONS
        appeared, watcher = 0, start(site)
        kill_after, moment = chance.randint(*KILL_AFTER), None
        while True:
            now, found = time.monotonic(), entries(site)
            over = [each for each in found if each.state in ("done", "failed", "quarantined")]
            if len(over) == ACQUISITIONS:
                break
            assert now < last, Counter(each.state for each in found)
            assert watcher.poll() is None, (site / "watch.log").read_text()[-2000:]
            while appeared < min(ACQUISITIONS, len(over) + 8):
                acquire(site, appeared)
                appeared += 1
            twice += [job for job, number in performed(site).items() if number > 1]
            # In the first half watchers are killed; the one of the second half shows its memory.
            if len(over) > ACQUISITIONS / 2:
                memory.append(psutil.Process(watcher.pid).memory_info().rss)
            elif moment is None and len(over) >= kill_after:
                moment = now + chance.uniform(0, MOMENT_SECONDS)
            elif moment is not None and now > moment:
                watcher.send_signal(signal.SIGKILL)
                watcher.wait()
                kills, watcher = kills + 1, start(site)
                kill_after, moment = len(over) + chance.randint(*KILL_AFTER), None
            time.sleep(0.2)
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(60) == 0
        start(site, "--once").wait(120)
    good = [number for number in range(ACQUISITIONS) if (number + 1) % FAULTY_EVERY]
    states = Counter(each.state for each in entries(site))
    outcomes = [read_outcome(site / "results" / f"{number:03d}.npy") for number in good]
    reports = [
        (site / "results" / f"{number:03d}.npy" / "run.log").read_text().count("report: done")
        for number in good
    ]
    quarter = max(1, len(memory) // 4)
    grown = max(memory[-quarter:]) - max(memory[:quarter])
    remains = left(site, semaphores)
    print(
        f"\nacquisitions {ACQUISITIONS}, good {len(good)}, kills of the watcher {kills}\n"
        f"states {dict(states)}\nanalysed more than once {sum(n > 1 for n in reports)}, "
        f"two runs of one job {len(twice)}\nmemory grown by {grown / 1e6:.1f} MB\n"
        f"leftovers {len(remains)}"
    )
    assert states["done"] == len(good)
    assert [each.revision for each in entries(site)] == [1] * ACQUISITIONS
    assert all(outcome.checked and outcome.state == "done" for outcome in outcomes)
    assert max(reports) == 1
    assert twice == []
    assert grown < MOST_GROWTH_BYTES
    assert remains == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_the_next_run_clears_what_runs_killed_at_any_moment_have_left(site, kind):
    chance, semaphores = random.Random(2), semaphores_now()
    output, environment = site / "results", {**os.environ, "TMPDIR": str(site / "temporary")}
    command = [sys.executable, "-m", "orimap.flows", "run", str(site / "scan.npy"), "--output",
               str(output), "--k", "1:3", "--workers", "2", "--cluster", kind, "--orchestrate",
               "never"]  # fmt: skip
    remained = 0
    for _ in range(6):
        process = subprocess.Popen(
            command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(chance.uniform(1, 12))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and all that would clear up
        process.wait()
        remained += len(left(site, semaphores))
        shutil.rmtree(output, ignore_errors=True)
    assert remained > 0
    subprocess.run(command, env=environment, check=True, timeout=600, capture_output=True)
    assert left(site, semaphores) == []
