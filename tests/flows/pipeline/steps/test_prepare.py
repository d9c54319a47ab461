"""From an acquisition to the patterns that are analysed."""

from dataclasses import replace

import numpy as np
import pytest
import zarr

from orimap.flows.pipeline.steps import prepare
from orimap.tasks.errors import InputError
from orimap.tasks.store.groups import complete_mark, open_group
from orimap.tasks.stream.blocks import silent


def asking(run, **changes):
    """Return the same run with another request, and nothing reused yet."""
    return replace(run, request=run.request.model_copy(update=changes), reused=set())


def test_patterns_are_taken_in_as_they_were_acquired(stages, tiny):
    ingested = stages.ingested
    assert ingested.fingerprint == stages.plan.ingest_fingerprint
    assert ingested.counts
    assert ingested.store == stages.run.folder.unfinished / "patterns.zarr"
    stored = zarr.open_array(ingested.store, path="raw/pattern_intensity", mode="r")
    np.testing.assert_array_equal(stored[:], np.load(tiny))
    found = stages.run.folder.read("acquisition")
    np.testing.assert_allclose(found["detector_mean"], np.load(tiny).mean(axis=(0, 1)), rtol=1e-6)
    assert complete_mark(stages.run.folder.analysis, "acquisition") == ingested.fingerprint


def test_patterns_that_are_there_are_not_read_again(stages, monkeypatch):
    def ingest_acquisition(*_args, **_kwargs):
        raise AssertionError("read again")

    monkeypatch.setattr("orimap.tasks.acquire.ingest.ingest.ingest_acquisition", ingest_acquisition)
    run = asking(stages.run)
    assert prepare.ingest(run, silent, stages.plan) == stages.ingested
    assert run.reused == {"ingest"}
    with pytest.raises(AssertionError, match="read again"):
        prepare.ingest(asking(stages.run, restart=True), silent, stages.plan)


def test_unfinished_patterns_of_another_request_are_removed(started, tiny, tmp_path):
    run, plan = started(tiny, tmp_path / "out", roi="0:2,0:3")
    left = run.folder.unfinished / "patterns.zarr" / "mean"
    left.mkdir(parents=True)
    ingested = prepare.ingest(run, silent, plan)
    assert not left.exists()
    assert zarr.open_array(ingested.store, path="raw/pattern_intensity").shape == (2, 3, 48, 48)


def test_patterns_without_any_intensity_are_refused(started, saved, tmp_path):
    file = saved(tmp_path, np.zeros((2, 3, 8, 8), np.uint16))
    run, plan = started(file, tmp_path / "out")
    with pytest.raises(InputError, match=r"every value of scan\.npy is 0"):
        prepare.ingest(run, silent, plan)


def test_whether_values_are_counts_is_asked_for_or_found(stages):
    for asked, counts in (("no", False), ("yes", True), ("auto", True)):
        plan = replace(stages.plan, request=stages.run.request.model_copy(update={"counts": asked}))
        assert prepare.ingest(asking(stages.run), silent, plan).counts is counts


def test_the_direct_beam_is_measured_once(stages, monkeypatch):
    beam = open_group(stages.ingested.store, "beam")
    assert beam.attrs["found"]
    assert beam.attrs["wander_px"] < 0.5
    shift = stages.run.folder.read("acquisition")["scan_beam_shift"]
    np.testing.assert_array_equal(shift, beam["scan_beam_shift"])
    assert shift.sizes["scan_x"] == 7

    def measure_descan(*_args, **_kwargs):
        raise AssertionError("measured again")

    monkeypatch.setattr("orimap.tasks.patterns.beam.shift.measure_descan", measure_descan)
    run = asking(stages.run)
    assert prepare.centre(run, silent, stages.ingested) is False
    assert run.reused == {"centre"}
    run = asking(stages.run, restart=True)
    with pytest.raises(AssertionError, match="measured again"):
        prepare.centre(run, silent, stages.ingested)
    assert run.reused == set()


@pytest.mark.parametrize(
    ("asked", "worthwhile", "centred"),
    [("auto", True, True), ("auto", False, False), ("yes", False, True), ("no", True, False)],
)
def test_patterns_are_centred_as_asked_for_or_where_it_helps(stages, asked, worthwhile, centred):
    request = stages.run.request.model_copy(update={"centre": asked})
    assert prepare.is_centred(request, {"worthwhile": np.bool_(worthwhile)}) is centred


def test_patterns_cannot_be_centred_on_a_beam_that_is_not_there(started, saved, tmp_path):
    flat = np.random.default_rng(0).poisson(1.0, (3, 4, 32, 32)).astype(np.uint16)
    run, plan = started(saved(tmp_path, flat), tmp_path / "out", centre="yes")
    ingested = prepare.ingest(run, silent, plan)
    with pytest.raises(InputError, match="a direct beam to centre the patterns on"):
        prepare.centre(run, silent, ingested)


def test_raw_patterns_are_analysed_as_they_are(stages):
    prepared, run = stages.prepared, stages.run
    assert (prepared.filter, prepared.profile, prepared.centred) == ("raw", "disc", False)
    analysed, found = run.folder.read("analysed"), run.folder.read("acquisition")
    np.testing.assert_array_equal(analysed["detector_mean"], found["detector_mean"])
    for name in ("mean_intensity", "zero_fraction"):
        assert analysed.attrs[name] == found.attrs[name]
    assert complete_mark(run.folder.analysis, "analysed") == prepared.fingerprint
    again = asking(run)
    assert prepare.filter_patterns(again, silent, stages.ingested, centred=False) == prepared
    assert again.reused == {"filter"}


def test_means_are_written_beside_the_raw_patterns(started, tiny, tmp_path):
    run, plan = started(tiny, tmp_path / "out", filter="mean", roi="0:3,0:4")
    ingested = prepare.ingest(run, silent, plan)
    prepare.centre(run, silent, ingested)
    prepared = prepare.filter_patterns(run, silent, ingested, centred=False)
    assert "filter" not in run.reused
    stored = zarr.open_group(ingested.store, path="mean", mode="r")
    (array,) = (member for _, member in stored.arrays() if member.ndim == 4)
    raw = np.load(tiny)[:3, :4].astype(float)
    np.testing.assert_allclose(array[1, 1], raw[0:3, 0:3].mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(array[0, 3], raw[0:2, 2:4].mean(axis=(0, 1)), rtol=1e-5)
    run.reused.clear()
    assert prepare.filter_patterns(run, silent, ingested, centred=False) == prepared
    assert run.reused == {"filter"}


def test_fingerprints_of_prepared_patterns_tell_filters_apart(stages):
    made = [
        prepare.filter_patterns(stages.run, silent, replace(stages.ingested, fingerprint=mark), c)
        for mark, c in (("a", False), ("b", False), ("b", True))
    ]
    # What is analysed is described again under the fingerprint of the last.
    prepare.filter_patterns(stages.run, silent, stages.ingested, centred=False)
    assert len({one.fingerprint for one in (*made, stages.prepared)}) == 4
