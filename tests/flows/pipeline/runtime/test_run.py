"""What the steps of a run hand on, and which groups a run uses again."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import xarray as xr

from orimap.flows.pipeline.runtime.helpers import Here
from orimap.flows.pipeline.runtime.run import Fitted, Ingested, Prepared, Run
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.request.request import Request
from orimap.tasks.store.run_folder import RunFolder

INGESTED = Ingested(Path("patterns.zarr"), "0123456789abcdef", counts=True)
PREPARED = Prepared(INGESTED, False, "raw", "disc", "fedcba9876543210")
FITTED = Fitted(PREPARED, (1, 2, 3), 60, "00112233445566aa", (0.0, 0.0))


def test_fingerprints_of_fits_are_those_of_stored_results():
    assert FITTED.fit_fingerprint(2) == "fe5d323aaa6295bf"
    assert FITTED.score_fingerprint(2) == "cc4a64a1015ad8cc"


def test_a_fit_depends_on_its_sketch_its_penalties_and_its_k_alone():
    mark = FITTED.fit_fingerprint(2)
    assert replace(FITTED, ks=(2,), most_k=5).fit_fingerprint(2) == mark
    others = {
        FITTED.fit_fingerprint(3),
        replace(FITTED, sketch="other").fit_fingerprint(2),
        replace(FITTED, l1=(0.1, 0.0)).fit_fingerprint(2),
        replace(FITTED, l1=(0.0, 0.1)).fit_fingerprint(2),
    }
    assert len(others | {mark}) == 5


def test_scores_depend_on_the_fit_and_on_counts():
    no_counts = replace(PREPARED, ingested=replace(INGESTED, counts=False))
    other = replace(FITTED, prepared=no_counts)
    assert other.fit_fingerprint(2) == FITTED.fit_fingerprint(2)
    assert other.score_fingerprint(2) != FITTED.score_fingerprint(2)


def test_patterns_know_their_store_and_their_sketches():
    assert (PREPARED.counts, PREPARED.store) == (True, Path("patterns.zarr"))
    assert PREPARED.sketch_groups == ["sketch", "sketch_training"]
    no_counts = replace(PREPARED, ingested=replace(INGESTED, counts=False))
    assert no_counts.sketch_groups == ["sketch"]
    with pytest.raises(FrozenInstanceError):
        PREPARED.filter = "mean"


@pytest.fixture
def run(tmp_path):
    """A run into an empty folder, without workers."""
    folder = RunFolder(tmp_path)
    folder.prepare()
    request = Request.read(file="scan.npy", output=tmp_path)
    return Run(request, folder, PlainRunner(NoDisplay()), None, Here())


def test_a_group_serves_again_with_its_own_fingerprint_alone(run):
    run.folder.write("sketch", xr.Dataset({"a": 1}), "mark")
    assert not run.can_reuse("sketch", "sketch", "other")
    assert run.reused == set()
    assert run.can_reuse("sketch", "sketch", "mark")
    assert run.reused == {"sketch"}
    again = replace(run, request=run.request.model_copy(update={"restart": True}), reused=set())
    assert not again.can_reuse("sketch", "sketch", "mark")
    assert again.reused == set()


def test_missing_are_the_fits_that_do_not_serve(run):
    for k in (1, 3):
        run.folder.write(f"fits/k{k:02d}", xr.Dataset({"k": k}), f"mark{k}")

    def missing(ks, mark="mark{}"):
        return run.missing("fit", ks, "fits/k{:02d}".format, mark.format)

    assert missing([1, 2, 3, 4]) == [2, 4]
    assert run.reused == set()
    assert missing([1, 2, 3], mark="other{}") == [1, 2, 3]
    assert missing([3, 1]) == []
    assert run.reused == {"fit"}
    assert missing([1, 2]) == [2]
    assert run.reused == set()


def test_notes_are_kept_and_shown(run, monkeypatch):
    shown = []
    monkeypatch.setattr(run.runner, "note", shown.append)
    run.note("one")
    run.note("two")
    assert run.notes == shown == ["one", "two"]
