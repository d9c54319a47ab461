import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from orimap.flows.cli import main
from orimap.flows.cli.watch import _watching
from orimap.flows.watch.journal import Journal
from orimap.flows.watch.one_watcher import only_watcher, watcher_process
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

QUARTZ = Path(__file__).parents[2] / "tasks" / "index" / "crystals" / "quartz.cif"

pytestmark = pytest.mark.usefixtures("no_prefect")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A scan of 9×12 patterns of 48×48 pixels with two grains, as .blo."""
    path = tmp_path_factory.mktemp("scan") / "two grains.blo"
    write_scan(ScanRecipe(scan=(9, 12), detector=(48, 48), grains=2, dose=3000, seed=4), path)
    return path


@pytest.fixture
def site(tmp_path):
    """A folder to watch, one for results, and options."""
    (tmp_path / "watched").mkdir()
    (tmp_path / "run.yaml").write_text("k: 1:4\nworkers: 1\n")
    return tmp_path


def _call(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


@contextlib.contextmanager
def _watch(site, *options):
    """A watcher of its own; ended in the end, whatever the test says."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "orimap.flows", "watch", str(site / "watched")),
            *("--results", str(site / "results"), "--config", str(site / "run.yaml")),
            *("--settle", "0.3", "--poll", "0.3", "--embedded", *options),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _entries(site):
    path = site / "results" / ".orimap" / "journal.sqlite"
    if not path.exists():
        return []
    with Journal(path, make=False) as journal:
        return journal.entries()


def _wait(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _status(site):
    answer = _call("status", "--results", site / "results", "--json")
    assert answer.exit_code == 0
    return json.loads(answer.stdout)


@pytest.mark.slow
def test_a_killed_watcher_goes_on_and_each_acquisition_is_analysed_once(site, scan):
    results = site / "results" / "two grains.blo"
    shutil.copy(scan, site / "watched")
    with _watch(site) as watcher:
        _wait(lambda: (results / ".unfinished" / "analysis.zarr" / "sketch").exists())
        assert watcher_process(site / "results" / ".orimap") == watcher.pid
        watcher.send_signal(signal.SIGKILL)
    lock = next((site / "results" / ".orimap" / "jobs").glob("*.lock"))
    _wait(lambda: subprocess.run(["flock", "-n", str(lock), "true"]).returncode == 0)
    assert not (results / "outcome.json").exists()
    with _watch(site, "--once") as watcher:
        log = watcher.communicate(timeout=300)[1]
    assert watcher.returncode == 0, log
    assert f"two grains.blo: 2 distinct patterns, high confidence; report {results}" in log
    outcome = json.loads((results / "outcome.json").read_text())
    assert (outcome["state"], outcome["decided_k"]) == ("done", 2)
    steps = {
        s["name"]: s["reused"] for s in json.loads((results / "run.json").read_text())["steps"]
    }
    assert steps["ingest"], steps
    (found,) = _status(site)["acquisitions"]
    assert (found["state"], found["decided_k"], found["revision"]) == ("done", 2, 1)
    taken = sorted(p.name for p in (site / "results" / ".orimap" / "jobs" / "over").iterdir())
    assert taken == [f"{outcome['key']}.json"]

    told = ("replay", found["id"][:6], "--results", site / "results", "--decided-k", "3")
    plan = _call(*told, "--dry-run").stdout
    assert "components 3" in plan
    assert "nothing was changed" in plan
    assert _status(site)["acquisitions"] == [found]
    assert "start orimap watch" in _call(*told).stdout
    assert _call(*told).exit_code == 2  # it waits already
    with _watch(site, "--once") as watcher:
        log = watcher.communicate(timeout=300)[1]
    assert f"report {results}" in log
    again = json.loads((results / "run.json").read_text())
    assert again["request"]["components"] == 3
    assert all(step["reused"] for step in again["steps"] if step["name"] in ("ingest", "fit"))
    assert json.loads((results / "outcome.json").read_text())["acquisition"] == f"{found['id']}-2"
    table = _call("status", "--results", site / "results").stdout
    assert "no watcher is running" in table
    assert f"{found['id']}  two grains.blo  1    done" in table


def test_ctrl_c_ends_the_analysis_and_the_watcher_cleanly(site, scan):
    shutil.copy(scan, site / "watched")
    with _watch(site) as watcher:
        _wait(lambda: any(entry.state == "running" for entry in _entries(site)))
        watcher.send_signal(signal.SIGINT)
        log = watcher.communicate(timeout=60)[1]
    assert watcher.returncode == 0
    assert log.splitlines()[-1] == "stopped; the next start continues"
    lock = next((site / "results" / ".orimap" / "jobs").glob("*.lock"))
    assert subprocess.run(["flock", "-n", str(lock), "true"]).returncode == 0


def test_a_dry_run_says_what_is_there_and_writes_nothing(site, scan):
    shutil.copy(scan, site / "watched" / "whole.blo")
    (site / "watched" / "half.blo").write_bytes(scan.read_bytes()[:100_000])
    (site / "watched" / "a.mib").write_bytes(b"MQ1,")
    np.save(site / "watched" / "row.npy", np.ones((20, 6, 7)))
    (site / "watched" / "row.orimap.yaml").write_text("scan-shape: 4x5\n")
    answer = _call(
        "watch", site / "watched", "--results", site / "results", "--dry-run", "--settle", "0.1"
    )
    assert answer.exit_code == 0
    lines = {line.split()[0]: line for line in answer.stdout.splitlines()}
    assert f"would be analysed into {site / 'results' / 'whole.blo'}" in lines["whole.blo"]
    assert "would be analysed" in lines["row.npy"]
    assert "growing  the file is incomplete: 100,000 of the 253,696 bytes" in lines["half.blo"]
    assert "waiting for companion a.hdr" in lines["a.mib"]
    assert not (site / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing-there", "--results", "out"), "a folder to watch"),
        ((".", "--results", "."), "only read"),
        ((".", "--results", "out", "--disk-floor", "much"), "--disk-floor"),
        ((".", "--results", "out", "--submit-to", "nobody"), "embedded, prefect, batch"),
        ((".", "--results", "out", "--submit-to", "batch"), "profile"),
        ((".", "--results", "out", "--submit-to", "prefect"), "PREFECT_API_URL"),
        ((".", "--results", "out", "--embedded", "--submit-to", "batch"), "one of them"),
        ((".", "--results", "out", "--config", "out.yaml"), "decides output"),
        ((".", "--results", "out", "--config", "wrong.yaml"), "--bin"),
        ((".", "--results", "out", "--config", "crystal.yaml"), "absent.cif"),
    ],
)
def test_what_is_at_fault_is_told_at_once(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.yaml").write_text("output: here\n")
    (tmp_path / "wrong.yaml").write_text("bin: many\n")
    (tmp_path / "crystal.yaml").write_text("crystal: absent.cif\n")
    answer = _call("watch", *arguments)
    assert answer.exit_code == 2
    assert said in answer.stderr


def test_files_among_the_options_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "watched").mkdir()
    shutil.copy(QUARTZ, tmp_path)
    (tmp_path / "run.yaml").write_text("crystal: quartz.cif\nprecession: 0.7\n")
    watching = _watching(Path("watched"), Path("out"), None, Path("run.yaml"))
    (tmp_path / "watched" / "b.blo.orimap.yaml").write_text("crystals: [own.cif]\n")
    folder = tmp_path.resolve()
    for name, crystal in (("a.blo", "quartz.cif"), ("b.blo", "watched/own.cif")):
        (tmp_path / "watched" / name).touch()
        request = watching.request(name, watching.output(name, 1))
        assert request.crystals == (folder / crystal,)
        assert request.precession == 0.7


def test_results_of_one_folder_are_not_those_of_another(site, tmp_path):
    for name in ("watched", "other"):
        (tmp_path / name).mkdir(exist_ok=True)
        answer = _call("watch", tmp_path / name, "--results", site / "results", "--once",
                       "--embedded", "--poll", "0.1")  # fmt: skip
    assert answer.exit_code == 2
    assert f"is that of {tmp_path / 'watched'}" in answer.stderr


def test_a_second_watcher_leaves_the_work_to_the_first(site):
    state = site / "results" / ".orimap"
    state.mkdir(parents=True)
    with only_watcher(state):
        answer = _call("watch", site / "watched", "--results", site / "results", "--embedded")
    assert answer.exit_code == 2
    assert f"process {os.getpid()}" in answer.stderr


# Of the standard library and of what is installed: whatever a process imports first.
PLANTED = (
    "pickle",
    "random",
    "select",
    "signal",
    "tempfile",
    "numpy",
    "h5py",
    "zarr",
    "distributed",
)


def test_code_among_the_acquisitions_is_never_run(site, scan):
    folder = site / "watched"
    shutil.copy(scan, folder)
    for name in PLANTED:
        told = f"open({str(site / 'executed')!r}, 'a').write(__name__ + chr(10))"
        (folder / f"{name}.py").write_text(f"{told}\nraise ImportError('the wrong file')\n")
    (site / "run.yaml").write_text("k: 1:3\nworkers: 1\ncluster: processes\n")
    done = subprocess.run(
        [
            # As the installed script: it has its own folder on its path, not the current one.
            *(sys.executable, "-P", "-m", "orimap.flows", "watch", "."),
            *("--results", str(site / "results"), "--config", str(site / "run.yaml")),
            *("--settle", "0.3", "--poll", "0.3", "--embedded", "--once"),
        ],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (site / "executed").exists()
    assert (site / "results" / scan.name / "report.html").is_file()
