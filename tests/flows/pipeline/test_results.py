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
from orimap.tasks.store.groups import complete_mark, mark_complete, open_group
from orimap.tasks.store.run_folder import RunFolder


@pytest.fixture
def published(tmp_path):
    """A folder of complete results that hold nothing."""
    group = zarr.open_group(tmp_path / "analysis.zarr", mode="w")
    group.attrs.update(status="complete")
    mark_complete(tmp_path / "analysis.zarr", "", "mark")
    (tmp_path / "report.html").write_text("a page")
    return RunFolder(tmp_path)


def test_results_are_complete_with_their_own_fingerprint(published):
    assert results.is_complete(published, "mark", "fits")
    assert not results.is_complete(published, "other", "fits")


def test_without_report_status_or_store_they_are_not(published):
    (published.root / "report.html").unlink()
    assert not results.is_complete(published, "mark", "fits")
    (published.root / "report.html").touch()
    zarr.open_group(published.published_analysis, mode="r+").attrs.update(status="begun")
    assert not results.is_complete(published, "mark", "fits")
    shutil.rmtree(published.published_analysis)
    assert not results.is_complete(published, "mark", "fits")


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


def sizes(folder):
    """Bytes of every group of the results, and of the patterns."""
    return {
        f"{store.stem}/{group.name}": sum(p.stat().st_size for p in group.rglob("*"))
        for store in (folder.root / "analysis.zarr", folder.root / "patterns.zarr")
        for group in store.iterdir()
        if group.is_dir()
    }


@pytest.fixture
def whole(own):
    """Complete results with all that a run makes."""
    run, decided = own
    results.finish(run, decided, "mark", "two.npy", [])
    folder = run.folder
    folder.publish()
    (folder.root / "report.html").write_text("<html></html>")
    return folder


def test_which_fits_a_run_of_other_numbers_does_not_keep_is_said(whole):
    stored = open_group(whole.published_analysis, "decision")["k"].values
    first, last = int(stored[0]), int(stored[-1])
    assert results.lost_fits(whole, range(first, last + 1)) is None
    assert results.lost_fits(whole, range(first, last + 5)) is None
    said = results.lost_fits(whole, [2])
    assert f"with fits of {first} to {last} components, are replaced by those of 2." in said
    assert said.endswith(f"orimap decide {whole.root} --distinct N")
    shutil.rmtree(whole.published_analysis)
    assert results.lost_fits(whole, [2]) is None


def test_what_only_fits_start_from_goes_by_default(whole):
    before = sizes(whole)
    results.keep_only(whole, "fits")
    after = sizes(whole)
    assert set(before) - set(after) == {"analysis/basis_fits", "analysis/sketch_training"}
    assert {name: before[name] for name in after} == after
    assert results.is_complete(whole, "mark", "fits")
    assert not results.is_complete(whole, "mark", "all")
    # What is gone does not come back.
    results.keep_only(whole, "all")
    assert not results.is_complete(whole, "mark", "all")


@pytest.mark.parametrize(("bytes_of_lists", "stay"), [(10, True), (10**6, False)])
def test_lists_that_take_more_space_than_the_patterns_go(whole, bytes_of_lists, stay):
    lists = whole.root / "patterns.zarr" / "sparse"
    lists.mkdir(exist_ok=True)
    (lists / "made_for_this").write_bytes(bytes(bytes_of_lists))
    results.keep_only(whole, "fits")
    assert lists.exists() is stay
    assert complete_mark(lists.parent, "raw") is not None


def test_all_stays_where_it_was_asked_for(whole):
    before = sizes(whole)
    results.keep_only(whole, "all")
    assert sizes(whole) == before
    assert results.is_complete(whole, "mark", "all")


def test_of_results_alone_maps_patterns_and_the_evidence_stay(whole):
    before = sizes(whole)
    fit = zarr.open_group(whole.published_analysis, path="fits/k02", mode="r").attrs["loss"]
    results.keep_only(whole, "results")
    after = sizes(whole)
    for name in ("clusters", "overlap", "grains", "decision", "decomposition", "acquisition"):
        assert after[f"analysis/{name}"] == before[f"analysis/{name}"]
    gone = {"analysis/dark_fields", "patterns/raw"}
    assert not gone & set(after)
    assert gone <= set(before)
    assert "patterns/beam" in after
    stored = zarr.open_group(whole.published_analysis, mode="r")
    # What the report shows of every fit, and where the maps look.
    assert stored["fits/k02"].attrs["loss"] == fit
    assert list(stored["fits/k02"].array_keys()) == []
    assert sorted(stored["sketch"].array_keys()) == sorted(results.SMALL)
    for group in ("sketch", "fits/k02"):
        assert complete_mark(whole.published_analysis, group) is None
    assert results.is_complete(whole, "mark", "results")
    assert not results.is_complete(whole, "mark", "fits")


def test_a_removal_that_was_killed_is_finished_by_the_next(whole, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(results, "remove_group", killed)
        with pytest.raises(KeyboardInterrupt):
            results.keep_only(whole, "fits")
    assert "analysis/basis_fits" in sizes(whole)
    assert not results.is_complete(whole, "mark", "all")
    results.keep_only(whole, "fits")
    assert "analysis/basis_fits" not in sizes(whole)


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
