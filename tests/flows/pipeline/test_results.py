"""How results are completed and recognised."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.flows.pipeline import results
from orimap.flows.pipeline.runtime.measure import Measurement
from orimap.flows.pipeline.steps.older_rules import published_fingerprint
from orimap.tasks.store.groups import mark_complete
from orimap.tasks.store.run_folder import RunFolder


@pytest.fixture
def published(tmp_path):
    """A folder of complete results that hold nothing."""
    group = zarr.open_group(tmp_path / "analysis.zarr", mode="w")
    group.attrs.update(status="complete")
    mark_complete(tmp_path / "analysis.zarr", "", "mark")
    (tmp_path / "report.html").touch()
    return RunFolder(tmp_path)


def test_results_are_complete_with_their_own_fingerprint(published):
    assert results.is_complete(published, "mark")
    assert not results.is_complete(published, "other")


def test_without_report_status_or_store_they_are_not(published):
    (published.root / "report.html").unlink()
    assert not results.is_complete(published, "mark")
    (published.root / "report.html").touch()
    zarr.open_group(published.published_analysis, mode="r+").attrs.update(status="begun")
    assert not results.is_complete(published, "mark")
    shutil.rmtree(published.published_analysis)
    assert not results.is_complete(published, "mark")


@pytest.fixture
def own(stages, tmp_path):
    """The run of `stages` in a folder of its own."""
    shutil.copytree(stages.run.folder.root, tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    ingested = replace(stages.ingested, store=folder.patterns(stages.ingested.fingerprint))
    prepared = replace(stages.prepared, ingested=ingested)
    fitted = replace(stages.fitted, prepared=prepared)
    return replace(stages.run, folder=folder), replace(stages.decided, fitted=fitted)


def test_the_root_is_written_last_and_tells_the_whole(own):
    run, decided = own
    results.finish(run, decided, "mark", "two.npy", ["one remark"])
    root = xr.open_zarr(run.folder.analysis, consolidated=False)
    assert (root.sizes["scan_y"], root.sizes["scan_x"]) == (6, 7)
    raw = xr.open_zarr(decided.fitted.prepared.store, group="raw", consolidated=False)
    for name in ("scan_y", "scan_x", "detector_y", "detector_x"):
        xr.testing.assert_identical(root[name].variable.load(), raw[name].variable.load())
    facts = root.attrs
    assert facts["status"] == "complete"
    assert facts["complete"] == "mark"
    assert (facts["decided_k"], facts["fitted_k"]) == (2, decided.fitted_k)
    assert (facts["acquisition"], facts["notes"]) == ("two.npy", ["one remark"])
    assert facts["request"] == run.request.model_dump(mode="json")
    assert (facts["schema_version"], facts["orimap_version"]) == (1, "0.1.0")


def test_what_the_request_did_not_ask_for_is_dropped(own):
    run, decided = own
    fitted, analysis = decided.fitted, run.folder.analysis
    for group in ("fits/k09", "reflection_maps"):
        run.folder.write(group, xr.Dataset({"a": 1}), "other")
    run.folder.write("published", xr.Dataset({"a": 1}), published_fingerprint(run, fitted.prepared))
    fewer = replace(decided, fitted=replace(fitted, ks=(1, 2, 3)))
    results.finish(run, fewer, "mark", "two.npy", [])
    names = {path.name for path in analysis.iterdir()}
    assert {"sketch", "sketch_training", "published", "clusters"} <= names
    assert "reflection_maps" not in names
    for folder in ("fits", "basis_fits"):
        kept = sorted(path.name for path in (analysis / folder).glob("k*"))
        assert kept == ["k01", "k02", "k03"]


def test_the_paper_s_fits_of_other_patterns_are_dropped(own):
    run, decided = own
    run.folder.write("published", xr.Dataset({"a": 1}), "other")
    results.finish(run, decided, "mark", "two.npy", [])
    assert not (run.folder.analysis / "published").exists()


def test_the_training_half_goes_where_values_are_no_counts(own):
    run, decided = own
    prepared = decided.fitted.prepared
    prepared = replace(prepared, ingested=replace(prepared.ingested, counts=False))
    fitted = replace(decided.fitted, prepared=prepared)
    results.finish(run, replace(decided, fitted=fitted), "mark", "two.npy", [])
    assert not (run.folder.analysis / "sketch_training").exists()
    assert (run.folder.analysis / "sketch").exists()


def test_the_record_holds_what_was_measured(own):
    run, _ = own
    measured = Measurement()
    measured.facts(request=run.request.model_dump(mode="json"))
    measured.predicted({"ingest": 5, "sketch": 7})
    with measured.step("ingest") as record:
        record["reused"] = True
    results.write_record(run, measured)
    text = (run.folder.unfinished / "run.json").read_text()
    assert text.endswith("}\n")
    record = json.loads(text)
    assert record["request"]["k"] == [1, 4]
    assert record["predicted_peak_bytes"] == 7
    (step,) = record["steps"]
    assert (step["name"], step["reused"], step["predicted_bytes"]) == ("ingest", True, 5)
    assert np.isfinite(step["seconds"])


def test_the_report_is_drawn_by_the_helpers_of_the_run(own, monkeypatch):
    given = []
    monkeypatch.setattr(
        "orimap.tasks.report.report.write_report",
        lambda *places, **options: given.append((places, options)),
    )
    run, _ = own
    measured = Measurement()
    measured.facts(notes=["one"])
    results.write_report(run, measured)
    ((places, options),) = given
    assert places == (run.folder.analysis, run.folder.unfinished)
    assert options["executor"] is run.helpers
    assert options["run"]["notes"] == ["one"]
