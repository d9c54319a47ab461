"""Filters, values that are no counts, penalties, regions and centring, from end to end."""

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import adjusted_rand_score

from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

# Of the scan that conftest.py makes.
SCAN, DETECTOR = (12, 14), (64, 64)


def test_the_mean_filter_from_end_to_end(run, results, scan, counts, same_workers, tmp_path):
    run(scan, tmp_path, k="3:3", filter="mean", precession=0.5, detector_flip=True)
    tree = results(tmp_path)
    assert tree.attrs["decided_k"] == 3
    unused = "Of no effect without --crystal: --precession, --detector-flip."
    assert unused in tree.attrs["notes"]
    mean = xr.open_zarr(tmp_path / "patterns.zarr", group="mean", consolidated=False)
    np.testing.assert_allclose(
        mean["pattern_intensity"][5, 6], counts[4:7, 5:8].mean(axis=(0, 1)), rtol=1e-5
    )
    # Fidelity is always against what was acquired.
    label = tree["clusters"]["cluster_label"].values
    np.testing.assert_allclose(
        tree["clusters"]["cluster_mean_pattern"][0], counts[label == 0].mean(axis=0), rtol=1e-5
    )


def test_values_taken_as_no_counts_hold_nothing_out(run, results, scan, same_workers, tmp_path):
    run(scan, tmp_path, k="1:5", counts="no")
    tree = results(tmp_path)
    assert np.isnan(tree["decision"]["k_held_out_deviance"]).all()
    assert "sketch_training" not in tree.children
    assert tree.attrs["decided_k"] == 3
    # Blocks that no fit saw take the place of counts.
    assert np.isfinite(tree["decision"]["k_held_out_drop"][1:]).all()
    assert set(tree["decision"].attrs["skipped"]) == {"held-out counts"}
    # A camera of gain 1 is what a counting detector is: the spectrum's noise is known.
    assert tree["acquisition"].attrs["intensity_dispersion"] == pytest.approx(1, rel=0.1)
    assert tree["decision"].attrs["spectrum_rank"] >= 3


def test_floating_point_values_with_gaps_are_no_counts(
    run, results, saved, counts, same_workers, tmp_path
):
    values = counts.astype(np.float32) * 0.37
    values[2, 3, 10, 12] = np.nan
    values[4, 4, 20, 20] = -5
    run(saved(tmp_path, values), tmp_path / "out", k="2:5")
    tree = results(tmp_path / "out")
    assert not tree["acquisition"].attrs["counts_like"]
    assert tree["acquisition"].attrs["n_not_finite"] == 1
    assert tree.attrs["decided_k"] == 3
    assert np.isfinite(tree["clusters"]["cluster_mean_pattern"]).all()


def test_penalties_make_factors_sparser(run, results, finished_run, scan, same_workers, tmp_path):
    run(scan, tmp_path, k="3:3", l1="0.1,0.1")
    plain, sparse = results(finished_run)["fits/k03"], results(tmp_path)["fits/k03"]
    for name in ("component_pattern", "scan_weight"):
        assert (sparse[name].values == 0).mean() > (plain[name].values == 0).mean()


def test_regions_bins_and_masks_from_end_to_end(
    run, results, saved, counts, same_workers, tmp_path
):
    mask = np.zeros(DETECTOR, np.uint8)
    mask[40, 30] = 1
    np.save(tmp_path / "mask.npy", mask)
    run(
        saved(tmp_path, counts), tmp_path / "out", k="2:5", roi="1:11,2:13", crop="4:60,6:58",
        bin=2, mask=tmp_path / "mask.npy",
    )  # fmt: skip
    tree = results(tmp_path / "out")
    raw = xr.open_zarr(tmp_path / "out" / "patterns.zarr", group="raw", consolidated=False)
    cut = counts[1:11, 2:13, 4:60, 6:58].astype(int)
    expected = cut.reshape(10, 11, 28, 2, 26, 2).sum(axis=(3, 5))
    np.testing.assert_array_equal(raw["pattern_intensity"], expected)
    np.testing.assert_allclose(tree["scan_y"], np.arange(1, 11))
    np.testing.assert_allclose(tree["scan_x"], np.arange(2, 13))
    assert tree["scan_y"].attrs["units"] == "px"
    # The middle of two pixels, from the middle of the whole detector.
    np.testing.assert_allclose(raw["detector_y"], 4.5 - 32 + 2 * np.arange(28))
    np.testing.assert_allclose(raw["detector_x"], 6.5 - 32 + 2 * np.arange(26))
    masked = tree["acquisition"]["detector_mask"].values
    assert masked[(40 - 4) // 2, (30 - 6) // 2] == 4
    assert np.count_nonzero(masked) == 1
    pattern = tree[f"fits/k{tree.attrs['fitted_k']:02d}"]["component_pattern"].values
    assert pattern[:, 18, 12].max() == 0
    assert tree["clusters"]["cluster_label"].shape == (10, 11)


def test_epattern_analyses_what_it_draws_and_keeps_the_list(
    run, results, scan, same_workers, tmp_path
):
    run(scan, tmp_path, k="2:5", filter="epattern", centre="yes", dark_field="20:30,20:30")
    tree = results(tmp_path)
    with np.load(scan.with_suffix(".npz")) as truth:
        labels = truth["labels"]
    assert tree.attrs["decided_k"] == 3
    found = tree["clusters"]["cluster_label"].values
    assert adjusted_rand_score(labels.ravel(), found.ravel()) > 0.9
    drawn = xr.open_zarr(tmp_path / "patterns.zarr", group="epattern", consolidated=False)
    values = drawn["pattern_intensity"].values
    mask = tree["analysed"]["detector_mask"].values
    np.testing.assert_allclose(
        tree["analysed"]["detector_mean"].values[mask == 0],
        values.reshape(-1, *DETECTOR).mean(axis=0)[mask == 0],
        rtol=1e-5,
    )
    # The loss is that of the drawn patterns.
    fit = tree["fits/k03"]
    model = np.tensordot(fit["scan_weight"].values, fit["component_pattern"].values, axes=1)
    loss = np.abs(values - model)[..., mask == 0].mean()
    assert fit.attrs["loss"] == pytest.approx(loss, rel=1e-3)
    listed = xr.open_zarr(tmp_path / "patterns.zarr", group="reflections", consolidated=False)
    assert listed["reflection_offset"].values[-1] == listed.sizes["reflection"]
    maps = tree["reflection_maps"]
    np.testing.assert_array_equal(
        maps["scan_reflection_count"].values.ravel(), np.diff(listed["reflection_offset"])
    )
    assert maps["scan_virtual_dark_field"].shape == SCAN


def test_centred_patterns_give_what_patterns_that_never_moved_give(
    run, results, same_workers, tmp_path
):
    recipe = {"scan": SCAN, "detector": DETECTOR, "grains": 3, "dose": 3000, "seed": 3}
    write_scan(ScanRecipe(**recipe, descan=6), tmp_path / "moved.zarr")
    run(tmp_path / "moved.zarr", tmp_path / "out", k="2:5")
    tree = results(tmp_path / "out")
    with np.load(tmp_path / "moved.npz") as truth:
        labels, descan = truth["labels"], truth["descan"]
    measured = tree["acquisition"]["scan_beam_shift"].values
    # Each from its own reference; a beam of a thousand electrons is found to a tenth of a pixel.
    difference = (measured - np.median(measured, (0, 1))) - (descan - np.median(descan, (0, 1)))
    assert np.sqrt((difference**2).mean()) < 0.3
    assert any(note.startswith("Patterns were centred") for note in tree.attrs["notes"])
    assert (tree["analysed"]["detector_mask"].values & 16 > 0).any()
    assert tree.attrs["decided_k"] == 3
    found = tree["clusters"]["cluster_label"].values
    assert adjusted_rand_score(labels.ravel(), found.ravel()) > 0.9
