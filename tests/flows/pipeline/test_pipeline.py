"""What a finished run stores, whatever the chunks and the workers."""

import json

import numpy as np
import pytest
import xarray as xr
import zarr
from sklearn.metrics import adjusted_rand_score

from orimap.flows.pipeline import plan
from orimap.tasks.simulate.scan import SCAN_STEP_NM
from orimap.tasks.store import variables

# Of the scan that conftest.py makes.
SCAN = (12, 14)


def test_the_number_of_grains_and_their_map_are_found(results, finished_run, scan):
    truth = np.load(scan.with_suffix(".npz"))
    tree = results(finished_run)
    assert tree.attrs["decided_k"] == 3
    label = tree["clusters"]["cluster_label"].values
    assert adjusted_rand_score(truth["labels"].ravel(), label.ravel()) > 0.95
    weights = np.sort(truth["weights"], axis=-1)
    true_ratio = weights[..., -2] / weights[..., -1]
    assert np.abs(tree["overlap"]["overlap_ratio"].values - true_ratio).mean() < 0.1


def test_the_decision_tells_what_it_went_by(results, finished_run):
    facts = results(finished_run)["decision"].attrs
    preference = {int(number): value for number, value in facts["preference"].items()}
    assert max(preference, key=preference.get) == 3
    assert facts["runner_up"] in preference
    assert 3 <= facts["settled_k"] <= facts["fitted_k"]
    assert facts["confidence"] in ("high", "moderate")
    # Raw counts in enough positions: nothing had to be left out.
    assert facts["skipped"] == {}
    assert facts["spectrum_rank"] >= 3
    assert str(facts["settled_k"]) in facts["stability"]
    used = {criterion["name"] for criterion in facts["criteria"] if criterion["used"]}
    assert {"distinct patterns", "held-out counts", "spectrum", "redundancy"} <= used
    assert facts["reasons"][0].startswith("The number of distinct patterns settles at 3")


GROUPS = {
    "acquisition": "scan_virtual_bright_field scan_total_intensity detector_mean detector_mask",
    "sketch": "basis_pattern scan_basis singular_value",
    "fits/k03": "component_pattern scan_weight",
    "decision": "k_component_loss k_relative_loss k_held_out_deviance k_held_out_drop k_distinct "
    "k_background k_in_range pair_ssim pair_gmsd pair_mdsi pair_psnr pair_cosine",
    "clusters": "cluster_label component_cluster cluster_share cluster_size cluster_mean_pattern "
    "cluster_representative cluster_ssim cluster_psnr cluster_gmsd cluster_mdsi",
    "overlap": "overlap_ratio second_label overlap_level",
    "baseline": "kmeans_label scree_value",
}


@pytest.mark.parametrize("group", GROUPS)
def test_every_stored_variable_is_as_declared(results, finished_run, group):
    ds = results(finished_run)[group]
    for name in GROUPS[group].split():
        array = getattr(variables, name).read(ds)
        assert array.attrs["units"] == getattr(variables, name).units, name
        assert array.attrs["long_name"], name


def test_every_variable_of_every_group_has_a_unit(results, finished_run):
    for group in results(finished_run).subtree:
        for name, array in group.variables.items():
            if name != "k":
                assert array.attrs.get("units"), f"{group.path}/{name}"


def test_labels_are_plain_integers(finished_run):
    group = zarr.open_group(finished_run / "analysis.zarr", path="clusters", mode="r")
    for name in ("cluster_label", "component_cluster"):
        assert group[name].dtype == np.int16
        assert "_FillValue" not in group[name].attrs
        stored = xr.open_zarr(finished_run / "analysis.zarr", group="clusters", consolidated=False)
        assert stored[name].dtype == np.int16


def test_the_root_tells_the_decision_and_alone_has_the_scan_coordinates(results, finished_run):
    tree = results(finished_run)
    label = tree["clusters"]["cluster_label"].values
    assert tree.attrs["status"] == "complete"
    assert tree.attrs["schema_version"] == 1
    assert tree.attrs["decided_k"] == len(np.unique(label[label >= 0]))
    assert tree.attrs["fitted_k"] in tree["decision"]["k"].values
    assert tree.attrs["request"]["k"] == [1, 8]
    assert tree.attrs["acquisition"] == "three.zarr"
    for axis, size in zip(variables.SCAN, SCAN, strict=True):
        np.testing.assert_allclose(tree[axis], np.arange(size) * SCAN_STEP_NM)
        assert tree[axis].attrs["units"] == "nm"
    store = zarr.open_group(finished_run / "analysis.zarr", mode="r")
    holders = [path for path, _ in store.members(max_depth=None) if path.endswith(variables.SCAN)]
    assert sorted(holders) == ["scan_x", "scan_y"]


def test_fits_have_unit_sum_and_account_for_the_counts(results, finished_run, counts):
    fit = results(finished_run)["fits/k03"]
    pattern, weight = fit["component_pattern"].values, fit["scan_weight"].values
    assert min(pattern.min(), weight.min()) >= 0
    np.testing.assert_allclose(pattern.sum(axis=(1, 2)), 1, rtol=1e-4)
    np.testing.assert_allclose(weight.sum(), counts.sum(), rtol=0.02)
    model = weight.reshape(-1, 3).astype(float) @ pattern.reshape(3, -1)
    loss = np.abs(counts.reshape(len(model), -1) - model).mean()
    assert fit.attrs["loss"] == pytest.approx(loss, rel=1e-4)
    decision = results(finished_run)["decision"]
    assert decision["k_component_loss"].sel(k=3) == pytest.approx(loss, rel=1e-4)
    assert decision["k_relative_loss"].sel(k=3) == pytest.approx(loss / counts.mean(), rel=1e-4)


def test_patterns_and_cluster_means_are_the_raw_counts(results, finished_run, counts):
    raw = xr.open_zarr(finished_run / "patterns.zarr", group="raw", consolidated=False)
    np.testing.assert_array_equal(raw["pattern_intensity"], counts)
    assert raw["pattern_intensity"].attrs["units"] == "electron"
    clusters = results(finished_run)["clusters"]
    for cluster in range(3):
        inside = clusters["cluster_label"].values == cluster
        np.testing.assert_allclose(
            clusters["cluster_mean_pattern"][cluster], counts[inside].mean(axis=0), rtol=1e-5
        )
        assert clusters["cluster_size"][cluster] == inside.sum()


def test_report_figures_and_record_lie_beside_the_stores(finished_run):
    names = {path.name for path in finished_run.iterdir()}
    assert names == {
        "analysis.zarr", "patterns.zarr", "report.html", "figures", "run.json", ".lock",
    }  # fmt: skip
    assert list((finished_run / "figures").glob("*.png"))
    record = json.loads((finished_run / "run.json").read_text())
    assert {"request", "versions", "machine", "peak_bytes", "predicted_peak_bytes"} <= set(record)
    assert [step["name"] for step in record["steps"]] == [
        "ingest", "centre", "filter", "sketch", "fit", "score", "decide", "clusters", "baseline",
        "report",
    ]  # fmt: skip
    assert all(step["seconds"] > 0 and step["peak_bytes"] > 0 for step in record["steps"])


def test_the_size_of_chunks_changes_nothing(
    run, same_results, finished_run, scan, same_workers, tmp_path, monkeypatch
):
    monkeypatch.setattr(plan, "chunk_bytes_for", lambda _scan, pattern, _most: 20 * pattern)
    run(scan, tmp_path, k="3:3")
    chunks = zarr.open_group(tmp_path / "patterns.zarr", path="raw")["pattern_intensity"].chunks
    assert chunks[0] * chunks[1] <= 20 < SCAN[0] * SCAN[1]
    same_results(finished_run, tmp_path, 3)


def test_one_worker_gives_what_two_give_with_a_cluster_of_its_own(
    run, same_results, finished_run, scan, bare_pages, tmp_path
):
    with bare_pages():
        run(scan, tmp_path, k="3:3", workers=1)
    same_results(finished_run, tmp_path, 3)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["peak_bytes"] > 0
