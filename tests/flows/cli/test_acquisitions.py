import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from orimap.flows.cli import main
from orimap.flows.cli.acquisitions import _facts
from orimap.flows.jobs.job import Job
from orimap.flows.request.request import Request
from orimap.flows.watch.journal import Journal
from orimap.flows.watch.one_watcher import only_watcher

SILICON = Path(__file__).resolve().parents[2] / "tasks" / "index" / "crystals" / "silicon.cif"


@pytest.fixture
def site(tmp_path):
    return tmp_path


def _call(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


def test_status_tells_why_nothing_is_handed_over_and_hides_what_is_no_scan(site):
    state = site / "results" / ".orimap"
    with Journal(state / "journal.sqlite") as journal:
        journal.set_meta("folder", str(site / "watched"))
        journal.set_meta("held", "less than 20 GB free")
        entry = journal.see("overview.npy", "being written", size=1, written=0.0)
        journal.move(entry, "not a scan", "overview.npy holds no scan of patterns")
    answer = _call("status", "--results", site / "results")
    assert "held: less than 20 GB free" in answer.stdout
    assert "1 more file holds no scan of patterns" in answer.stdout
    assert "overview.npy  1" not in answer.stdout
    assert "overview.npy" in _call("status", "--results", site / "results", "--all").stdout
    with only_watcher(state):
        assert f"process {os.getpid()}" in _call("status", "--results", site / "results").stdout
    assert _call("status", "--results", site / "nowhere").exit_code == 2
    # The journal is in the folder of the state, wherever the results are.
    assert "overview.npy" in _call("status", "--state", state, "--all").stdout
    neither = _call("status")
    assert neither.exit_code == 2
    assert "neither --results nor --state" in neither.output


@pytest.fixture
def done(tmp_path):
    """Results with a journal of one acquisition that is done."""
    scan, results = tmp_path / "watched" / "a.npy", tmp_path / "results"
    scan.parent.mkdir()
    np.save(scan, np.ones((4, 5, 6, 7), np.uint16))
    with Journal(results / ".orimap" / "journal.sqlite") as journal:
        journal.set_meta("folder", str(scan.parent))
        entry = journal.see(scan.name, "being written", size=1, written=0.0)
        request = Request(file=scan, output=results / scan.name, k="1:4")
        job = Job(acquisition="0123456789ab", request=request)
        entry = journal.move(entry, "settled", identity="0123456789abcdef", job=job)
        entry = journal.move(entry, "submitted", reference=job.key)
        journal.move(entry, "done", "2 patterns", decided_k=2, confidence="high")
    return results


def test_status_for_programs_has_the_facts_of_every_acquisition(done):
    found = json.loads(_call("status", "--results", done, "--json").stdout)
    assert (found["watcher"], found["held"]) == (None, "")
    (entry,) = found["acquisitions"]
    since = entry.pop("since")
    assert since.endswith("+00:00")
    assert entry == {
        "id": "0123456789ab", "name": "a.npy", "revision": 1, "state": "done",
        "reason": "2 patterns", "decided_k": 2, "confidence": "high",
        "results": str(done / "a.npy"),
    }  # fmt: skip
    with Journal(done / ".orimap" / "journal.sqlite") as journal:
        assert _facts(journal.find("a.npy")) == {**entry, "since": since}


LONG = "the detector's file ends in the middle of a pattern: " + "needed 4096 bytes, " * 12


@pytest.fixture
def failed(done):
    """The same with another acquisition, whose reason is long."""
    with Journal(done / ".orimap" / "journal.sqlite") as journal:
        entry = journal.see("b.npy", "being written", size=1, written=0.0)
        journal.move(entry, "quarantined", LONG)
    return done


def test_status_stays_a_table_when_a_reason_is_long(failed):
    lines = _call("status", "--results", failed).stdout.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) < 200 + len(str(failed))
    at = lines[1].index("reason")
    assert lines[3][at : at + 60] == LONG[:59] + "…"
    assert lines[2][at:].startswith("2 patterns")
    assert lines[2].index(str(failed / "a.npy")) == lines[1].index("results")
    wide = _call("status", "--results", failed, "--wide").stdout
    assert LONG.strip() in wide


def test_status_tells_all_of_one(failed):
    told = _call("status", "b.npy", "--results", failed).stdout
    assert LONG.strip() in told
    assert "a.npy" not in told
    told = _call("status", "0123456789ab", "--results", failed).stdout.splitlines()
    assert told[1] == "name     a.npy (revision 1)"
    assert told[4] == f"results  {failed / 'a.npy'}"
    steps = [line.split("  ", 1)[1] for line in told[7:]]
    assert [step.split(":")[0] for step in steps] == ["seen", "settled", "submitted", "done"]
    assert _call("status", "c.npy", "--results", failed).exit_code == 2


def test_replay_says_that_no_watcher_is_running_and_only_then(done):
    asked = ("replay", "a.npy", "--results", done)
    assert "nothing was changed" in _call(*asked, "--seed", "7", "--dry-run").stdout
    named = _call(*asked, "--crystal", os.path.relpath(SILICON), "--dry-run")
    assert f"crystals ['{SILICON}']" in named.stdout
    nowhere = _call(*asked, "--crystal", "nowhere.cif", "--dry-run")
    assert (nowhere.exit_code, nowhere.stdout) == (2, "")
    assert "nowhere.cif" in nowhere.stderr
    with only_watcher(done / ".orimap"):
        answer = _call(*asked, "--seed", "7")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == (
        f"a.npy: analysed again with k [1, 4], seed 7, into {done / 'a.npy'}\n"
    )
    answer = _call(*asked)
    assert answer.exit_code == 2
    assert "needed: an acquisition whose analysis has ended" in answer.stderr
    with Journal(done / ".orimap" / "journal.sqlite") as journal:
        entry = journal.find("a.npy")
        entry = journal.move(entry, "submitted")
        journal.move(entry, "failed", "lost")
    said = _call(*asked).stdout.splitlines()
    assert said[-1] == "no watcher is running: start orimap watch to have it analysed"
