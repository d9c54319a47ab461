"""From patterns to scored fits."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from orimap.flows.pipeline.runtime.run import LARGEST_K
from orimap.flows.pipeline.steps import factorise, prepare
from orimap.tasks.store.groups import complete_mark
from orimap.tasks.stream.blocks import silent


def fresh(run, **changes):
    """Return the same run with another request, and nothing noted or reused yet."""
    request = run.request.model_copy(update=changes)
    return replace(run, request=request, reused=set(), notes=[])


def test_a_sketch_is_of_all_counts_and_of_the_training_half(stages):
    fitted, analysis = stages.fitted, stages.run.folder.analysis
    assert fitted.ks == (1, 2, 3, 4)
    assert fitted.most_k == LARGEST_K == 100
    assert fitted.l1 == (0.0, 0.0)
    for group in ("sketch", "sketch_training"):
        assert complete_mark(analysis, group) == fitted.sketch
        stored = stages.run.folder.read(group)
        assert stored["scan_basis"].shape[:2] == (6, 7)
        value = stored["singular_value"].values
        assert (np.diff(value) <= 0).all()
        assert value[-1] > 0
    assert "is left out" in stages.run.folder.read("sketch").attrs["direct_beam"]


def test_the_same_sketch_serves_again_and_another_seed_makes_another(stages, monkeypatch):
    run = fresh(stages.run)
    assert factorise.sketch(run, silent, stages.prepared, stages.plan.ks) == stages.fitted
    assert run.reused == {"sketch"}
    made = []
    monkeypatch.setattr(factorise, "_write_sketch", lambda *given: made.append(given[-1]))
    for changes in ({"seed": 1}, {"weighting": "none"}, {"direct_beam": "keep"}):
        again = factorise.sketch(
            fresh(stages.run, **changes), silent, stages.prepared, stages.plan.ks
        )
        assert again.sketch == made[-1]
    assert len({*made, stages.fitted.sketch}) == 4


def test_penalties_are_of_the_fits_not_of_the_sketch(stages):
    run = fresh(stages.run, l1=(0.1, 0.2))
    fitted = factorise.sketch(run, silent, stages.prepared, stages.plan.ks)
    assert run.reused == {"sketch"}
    assert fitted == replace(stages.fitted, l1=(0.1, 0.2))


def test_no_more_components_than_patterns_span_are_fitted(started, saved, tmp_path):
    rng = np.random.default_rng(0)
    two = rng.integers(1, 200, (2, 16, 16)) * (rng.random((2, 16, 16)) > 0.5)
    label = np.arange(4)[:, None] // 2 * np.ones(5, int)
    file = saved(tmp_path, two[label].astype(np.uint16))
    run, plan = started(file, tmp_path / "out", k="1:5", counts="no")
    ingested = prepare.ingest(run, silent, plan)
    centred = prepare.centre(run, silent, ingested)
    prepared = prepare.filter_patterns(run, silent, ingested, centred)
    fitted = factorise.sketch(run, silent, prepared, plan.ks)
    assert (fitted.ks, fitted.most_k) == ((1, 2), 2)
    assert run.notes == ["The patterns span only 2 dimensions: k ends at 2."]
    assert not (run.folder.analysis / "sketch_training").exists()
    # Where all that was asked for is more, the most that can be fitted is.
    assert factorise.sketch(run, silent, prepared, range(4, 6)).ks == (2,)


def test_every_fit_is_stored_with_its_fingerprint(stages):
    run, fitted = stages.run, stages.fitted
    for k in fitted.ks:
        made = run.folder.read(f"basis_fits/k{k:02d}")
        assert complete_mark(run.folder.analysis, f"basis_fits/k{k:02d}") == (
            fitted.fit_fingerprint(k)
        )
        assert made["component_image"].shape == (k, 48, 48)
        assert made["component_training_image"].shape == (k, 48, 48)


def test_scores_are_exact_and_fall_with_k(stages, tiny):
    run, fitted = stages.run, stages.fitted
    losses = []
    for k in fitted.ks:
        scored = run.folder.read(f"fits/k{k:02d}")
        assert complete_mark(run.folder.analysis, f"fits/k{k:02d}") == fitted.score_fingerprint(k)
        pattern, weight = scored["component_pattern"].values, scored["scan_weight"].values
        np.testing.assert_allclose(pattern.sum(axis=(1, 2)), 1, rtol=1e-4)
        model = weight.reshape(42, k).astype(float) @ pattern.reshape(k, -1)
        loss = np.abs(np.load(tiny).reshape(42, -1) - model).mean()
        assert scored.attrs["loss"] == pytest.approx(loss, rel=1e-4)
        assert scored["scan_held_out_deviance"].shape == (6, 7)
        losses.append(loss)
    assert losses[0] > losses[1]


def test_only_what_is_missing_is_fitted_and_scored(stages, tmp_path):
    shutil.copytree(stages.run.folder.root, tmp_path / "out")
    run = fresh(stages.run)
    run = replace(run, folder=type(run.folder)(tmp_path / "out"))
    analysis = run.folder.analysis
    times = {}
    for k in stages.fitted.ks:
        for folder in ("basis_fits", "fits"):
            times[folder, k] = (analysis / folder / f"k{k:02d}" / "zarr.json").stat().st_mtime_ns
    before = run.folder.read("fits/k02").load()
    for folder in ("basis_fits", "fits"):
        shutil.rmtree(analysis / folder / "k02")
    factorise.fit(run, stages.fitted)
    factorise.score(run, silent, stages.fitted)
    assert run.reused == set()
    for (folder, k), time in times.items():
        now = (analysis / folder / f"k{k:02d}" / "zarr.json").stat().st_mtime_ns
        assert (now == time) is (k != 2)
    np.testing.assert_array_equal(
        run.folder.read("fits/k02")["component_pattern"], before["component_pattern"]
    )
    factorise.fit(run, stages.fitted)
    factorise.score(run, silent, stages.fitted)
    assert run.reused == {"fit", "score"}


def test_a_score_made_anew_has_the_place_that_it_had_in_its_pass(stages, tmp_path):
    shutil.copytree(stages.run.folder.root, tmp_path / "out")
    run = fresh(stages.run, keep="fits")
    run = replace(run, folder=type(run.folder)(tmp_path / "out"))
    analysis = run.folder.analysis
    before = run.folder.read("fits/k03").load()
    assert list(before.attrs["scored_with"]) == [1, 2, 3, 4]
    # What the others were scored from is gone, as at the end of a run.
    shutil.rmtree(analysis / "basis_fits")
    shutil.rmtree(analysis / "fits" / "k03")
    assert factorise._passes(run, stages.fitted) == [([1, 2, 3, 4], [3])]
    factorise.fit(run, stages.fitted)
    assert [path.name for path in (analysis / "basis_fits").glob("k*")] == ["k03"]
    factorise.score(run, silent, stages.fitted)
    after = run.folder.read("fits/k03").load()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)
    assert list(after.attrs["scored_with"]) == [1, 2, 3, 4]
    # Fits that were never scored are scored together; those of several passes, each in its own.
    shutil.rmtree(analysis / "fits")
    assert factorise._passes(run, stages.fitted) == [([1, 2, 3, 4], [1, 2, 3, 4])]
