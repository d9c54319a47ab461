"""Results and journals that earlier versions have written; tests/data/README.md tells how."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import orimap
from orimap.flows.cli.main import app
from orimap.flows.watch.journal import JOURNAL, Journal

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """What an earlier version has written; not to be written to."""
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(DATA / "results_0.1.0.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def older(unpacked, tmp_path):
    """A copy of all that, in a place of its own."""
    shutil.copytree(unpacked, tmp_path / "older")
    return tmp_path / "older"


@pytest.fixture(autouse=True)
def shared(sharing_workers, few_figures):
    """Commands use the workers that the tests have already, and draw few figures."""
    with sharing_workers(), few_figures():
        yield


def call(*arguments):
    """Return what a command writes to standard output."""
    answer = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert answer.exit_code == 0, answer.stderr
    return answer.stdout


def test_they_are_opened(unpacked):
    tree = orimap.open(unpacked / "results")
    assert tree.attrs["orimap_version"] == "0.1.0"
    assert (tree.attrs["decided_k"], tree.attrs["fitted_k"]) == (2, 2)
    assert tree["clusters"]["cluster_label"].shape == (5, 6)
    assert tree["decision"]["k"].values.tolist() == [1, 2, 3]
    inside = tree["clusters"]["cluster_label"].values == 1
    np.testing.assert_allclose(
        tree["clusters"]["cluster_mean_pattern"][1],
        np.load(unpacked / "scan.npy")[inside].mean(axis=0),
        rtol=1e-5,
    )


def test_their_report_is_written_again(older):
    page = older / "results" / "report.html"
    assert call("report", older / "results") == f"{page}\n"
    text = page.read_text()
    assert "2 distinct patterns" in text
    assert "scan.npy" in text
    assert list((older / "results" / "figures").glob("*.png"))


def test_the_same_request_finds_them_complete(older, no_prefect):
    before = (older / "results" / "run.json").read_bytes()
    asked = ["--k", "1:3", "--counts", "yes", "--decided-k", "2"]
    answer = CliRunner().invoke(
        app, ["run", str(older / "scan.npy"), "--output", str(older / "results"), *asked]
    )
    assert answer.exit_code == 0, answer.stderr
    assert "already holds the results of this request" in answer.stderr
    assert (older / "results" / "run.json").read_bytes() == before


def test_a_further_request_takes_over_their_patterns_and_fits(older, no_prefect):
    chunk = next((older / "results/patterns.zarr/raw/pattern_intensity/c").rglob("0"))
    inode = chunk.stat().st_ino
    asked = ("--k", "3:3", "--counts", "yes", "--quiet")
    call("run", older / "scan.npy", "--output", older / "results", *asked)
    record = json.loads((older / "results" / "run.json").read_text())
    reused = {step["name"] for step in record["steps"] if step["reused"]}
    assert {"ingest", "centre", "filter"} <= reused
    assert chunk.stat().st_ino == inode
    assert orimap.open(older / "results").attrs["fitted_k"] == 3


@pytest.mark.slow
def test_they_are_decided_anew(older):
    (older / "scan.npy").unlink()
    said = call("decide", older / "results", "--components", "3", "--quiet")
    assert "now      2 patterns from the fit of 3 components" in said
    tree = orimap.open(older / "results")
    assert (tree.attrs["decided_k"], tree.attrs["fitted_k"]) == (2, 3)
    said = call("decide", older / "results", "--strategy", "knee", "--quiet")
    assert "report: " in said
    facts = orimap.open(older / "results")["decision"].attrs
    assert (facts["strategy"], facts["knee"], facts["fitted_k"]) == ("knee", None, 3)


def test_the_journal_of_a_watcher_is_read(older):
    said = call("status", "--results", older / "watched").splitlines()
    assert said[0] == "/microscope/scans: no watcher is running"
    found = json.loads(call("status", "--results", older / "watched", "--json"))
    assert found["acquisitions"] == [
        {
            "id": "6c9c265f3834",
            "name": "scan.npy",
            "revision": 1,
            "state": "done",
            "since": "2026-11-26T11:20:16.882+00:00",
            "reason": "3 distinct patterns, low confidence",
            "decided_k": 3,
            "confidence": "low",
            "results": "/microscope/watched/scan.npy",
        }
    ]


def test_a_job_in_the_journal_is_still_a_job(older):
    with Journal(older / "watched" / ".orimap" / JOURNAL, make=False) as journal:
        (entry,) = journal.entries()
    assert entry.job.request.k == (1, 2)
    assert entry.reference == entry.job.key
