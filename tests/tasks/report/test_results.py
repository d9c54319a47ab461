from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from orimap.tasks.errors import InputError
from orimap.tasks.report.figures.images import DetectorGrid, ScanGrid
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.report.results import (
    analysed_mask,
    camera_rows,
    camera_text,
    colours_of,
    detector_grid,
    drawn_labels,
    fidelity_scores,
    mean_patterns,
    not_measured,
    pair_matrices,
    read_results,
    reflection_map_titles,
    scan_grid,
    source_name,
    stored_k,
    uniform_value,
    units_of,
    where_measured,
)


def test_the_mean_pattern_is_shown_as_analysed_where_that_is_another(small_store):
    results = read_results(small_store)
    means = mean_patterns(results)
    assert list(means) == ["mean pattern as acquired", "mean pattern as analysed"]
    np.testing.assert_array_equal(means["mean pattern as analysed"][1], analysed_mask(results))
    same = {**results.groups, "analysed": results.groups["acquisition"]}
    assert list(mean_patterns(replace(results, groups=same))) == ["mean pattern"]
    absent = {**results.groups, "analysed": xr.Dataset()}
    unknown = replace(results, groups=absent)
    assert list(mean_patterns(unknown)) == ["mean pattern"]
    np.testing.assert_array_equal(
        analysed_mask(unknown), results.values("acquisition", "detector_mask")
    )
    assert mean_patterns(replace(results, groups={**absent, "acquisition": xr.Dataset()})) == {}


def test_results_hold_what_is_stored(small_store):
    results = read_results(small_store)
    assert stored_k(results, "decided_k") == 3
    assert stored_k(results, "fitted_k") == 5
    assert sorted(results.fits) == [1, 2, 3, 4, 5]
    assert results.fits[2]["loss_error"] == 0.004
    assert results.intensity_units == "electron"
    assert results.values("clusters", "cluster_nsd_corner") is None  # all NaN
    assert results.values("clusters", "not_there") is None
    np.testing.assert_array_equal(results.values("decision", "k"), [1, 2, 3, 4, 5])


def test_a_store_without_a_decision_or_clusters_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        read_results(tmp_path / "analysis.zarr")
    xr.Dataset().to_zarr(tmp_path / "a.zarr", consolidated=False, zarr_format=3)
    with pytest.raises(InputError, match="holds neither"):
        read_results(tmp_path / "a.zarr")


def test_maps_of_one_value_are_not_drawn(small_store):
    varied, uniform = reflection_map_titles(read_results(small_store))
    assert varied["scan_direct_intensity"] == "bright field"
    assert uniform == {
        "scan_reflection_count": "number of reflections",
        "scan_prominence_threshold": "prominence needed",
        "scan_virtual_dark_field": "dark field of 1:4,1:4",
    }
    assert uniform_value(np.array([[2.0, np.nan], [2.0, 2.0]])) == 2
    assert uniform_value(np.array([2.0, 3.0])) is None
    assert uniform_value(np.array([np.nan])) is None


@pytest.mark.parametrize(
    ("facts", "grid"),
    [
        ({"scan_step": [2.5, 2.0], "scan_units": "nm"}, ScanGrid(2.5, 2.0, "nm")),
        ({"scan_step": "[2.5, 2.0]", "scan_units": "nm"}, ScanGrid(2.5, 2.0, "nm")),
        ({"scan_step": [2.5, 0.0], "scan_units": "nm"}, ScanGrid()),
        ({"scan_step": [1.0, 1.0], "scan_units": "px"}, ScanGrid()),
        ({}, ScanGrid()),
    ],
)
def test_a_scan_without_a_scale_counts_in_positions(facts, grid):
    assert scan_grid(facts) == grid


def test_only_the_pairs_of_the_fit_used_are_compared(small_store):
    results = read_results(small_store)
    found = pair_matrices(results, 4)
    assert list(found) == ["SSIM", "GMSD", "MDSI", "PSNR", "cosine"]
    assert found["SSIM"].shape == (4, 4)
    assert found["SSIM"][0, 3] == 0.93
    assert pair_matrices(results, 1) == {}
    assert pair_matrices(results, 9) == {}
    assert list(fidelity_scores(results)) == ["SSIM", "GMSD", "MDSI", "PSNR"]


def test_the_name_of_the_source_is_without_its_folder():
    assert source_name({"source": "/a/b/scan.hspy"}) == "scan.hspy"
    assert source_name({"source_file": "/a/c.mib", "source": "/a/b/scan.hspy"}) == "c.mib"
    assert source_name({}) is None


def test_positions_that_were_not_measured_are_marked_in_what_is_drawn(small_store):
    results = read_results(small_store)
    acquisition = results.groups["acquisition"]
    labels = results.values("clusters", "cluster_label")
    shares = np.ones((*labels.shape, 3), np.float32)
    measured = np.ones(labels.shape, np.uint8)

    def known(values):
        ds = acquisition.assign(scan_measured=(("scan_y", "scan_x"), values))
        return replace(results, groups={**results.groups, "acquisition": ds})

    whole = known(measured)
    assert not_measured(whole) is None
    np.testing.assert_array_equal(drawn_labels(whole), labels)
    assert where_measured(whole, shares, np.nan) is shares
    measured[4:] = 0
    stopped = known(measured)
    np.testing.assert_array_equal(not_measured(stopped), measured == 0)
    np.testing.assert_array_equal(drawn_labels(stopped)[:4], labels[:4])
    assert (drawn_labels(stopped)[4:] == -2).all()
    assert np.isnan(where_measured(stopped, shares, np.nan)[4:]).all()
    assert (where_measured(stopped, shares, np.nan)[:4] == 1).all()


def test_what_was_measured_of_a_camera_is_listed_with_errors():
    facts = {
        "camera_gain": 154.2274, "camera_gain_error": 1.561, "camera_offset": 0.05636,
        "camera_offset_error": 0.03267, "camera_read_noise": 3.5166,
        "camera_read_noise_error": 0.4266, "camera_shift": 0.0279, "camera_spread": 0.46038,
        "camera_spread_error": 0.01079,
    }  # fmt: skip
    assert camera_rows(facts) == {
        "gain (intensity per electron)": "154.2 ± 1.6",
        "offset": "0.056 ± 0.033",
        "read-out noise": "3.52 ± 0.43",
        "noise shared with neighbours": "46.0 ± 1.1 %",
    }
    stretched = {"camera_gamma": 0.5036, "camera_gamma_error": 0.155, "camera_gain": np.nan}
    assert camera_rows(stretched) == {"power of the stretch (gamma)": "0.50 ± 0.15"}
    assert camera_rows({"camera_spread": 0.0}) == {"noise shared with neighbours": "0 %"}
    assert camera_rows({}) == {}
    assert camera_text({}, "gain") == "–"


@pytest.mark.parametrize(
    ("facts", "unit"),
    [({}, "electron"), ({"counts_like": True}, "electron"), ({"counts_like": False}, "a.u."),
     ({"counts_like": False, "intensity_units": "grey level"}, "grey level")],
)  # fmt: skip
def test_values_that_are_no_counts_are_no_electrons(small_store, facts, unit):
    found = read_results(small_store)
    acquired = found.groups["acquisition"].copy()
    acquired.attrs = facts
    maps = found.groups["reflection_maps"]
    groups = {**found.groups, "acquisition": acquired}
    other = replace(found, groups=groups)
    assert other.intensity_units == unit
    assert maps["scan_intensity_sum"].attrs["units"] == "electron"
    assert units_of(other, "reflection_maps", "scan_intensity_sum") == unit
    assert units_of(other, "reflection_maps", "scan_reflection_count") == "1"


def test_colours_that_somebody_chose_stand_in_for_the_usual_ones(small_store):
    found = read_results(small_store)
    usual = colours_of(found, 3)
    assert usual == cluster_colours(3)
    chosen = ["", "#aB0102", "red; background: url(x)"]
    clusters = found.groups["clusters"].assign_attrs(cluster_colours=chosen)
    other = replace(found, groups={**found.groups, "clusters": clusters})
    assert colours_of(other, 4) == (
        usual[0], "#aB0102", usual[2], cluster_colours(4)[3],
    )  # fmt: skip


def test_the_detector_is_calibrated_or_in_pixels(small_store):
    found = read_results(small_store)
    assert detector_grid(found) == DetectorGrid(0.02, "1/Å")
    for changed in ({"detector_units": "px"}, {"detector_step": [0.02, 0.0]}):
        acquired = found.groups["acquisition"].assign_attrs(changed)
        other = replace(found, groups={**found.groups, "acquisition": acquired})
        assert detector_grid(other) == DetectorGrid()
