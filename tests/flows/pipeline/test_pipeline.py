"""The pipeline from store to store on tiny simulated scans."""

import functools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager

import numpy as np
import pytest
import xarray as xr
import zarr
from sklearn.metrics import adjusted_rand_score

from orimap.flows.pipeline import pipeline
from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.pipeline.steps import conclude, factorise, prepare
from orimap.flows.request.request import Request
from orimap.tasks.decide.evidence import published
from orimap.tasks.errors import InputError
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.scan import SCAN_STEP_NM
from orimap.tasks.simulate.write_scan import write_scan
from orimap.tasks.store import variables

SCAN, DETECTOR = (12, 14), (64, 64)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A calibrated scan of three grains, its truth beside it."""
    path = tmp_path_factory.mktemp("scan") / "three.zarr"
    write_scan(ScanRecipe(scan=SCAN, detector=DETECTOR, grains=3, dose=3000, seed=3), path)
    return path


@pytest.fixture(scope="module", autouse=True)
def one_thread_each():
    """Linear algebra in this process competes with the workers for the same cores."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def counts(scan):
    return zarr.open_group(scan, mode="r")["pattern_intensity"][:]


@pytest.fixture
def same_workers(client, monkeypatch):
    """Runs use the workers that the tests have already; lists how often one asked for them.

    Figures take most of the time of a tiny run: a bare page stands for the report.
    """
    opened = []

    @contextmanager
    def open_client(cluster="local", *, workers=None, **_):
        opened.append((cluster, workers))
        yield client

    def write_report(_results, output, *, run):
        (output / "report.html").write_text(f"{len(run)}")

    monkeypatch.setattr("orimap.cluster.client.open_client", open_client)
    monkeypatch.setattr("orimap.tasks.report.report.write_report", write_report)
    return opened


def run(file, output, **options):
    return run_pipeline(Request.read(file=file, output=output, **options), PlainRunner(NoDisplay()))


def results(folder):
    return xr.open_datatree(folder / "analysis.zarr", engine="zarr", consolidated=False)


def reused(folder):
    record = json.loads((folder / "run.json").read_text())
    return {step["name"] for step in record["steps"] if step["reused"]}


def saved(folder, values):
    np.save(folder / "scan.npy", values)
    return folder / "scan.npy"


@pytest.fixture(scope="module")
def finished(client, scan, tmp_path_factory):
    """One finished run with k from 1 to 8; not to be written to."""
    folder = tmp_path_factory.mktemp("finished") / "results"
    with pytest.MonkeyPatch.context() as patch:

        @contextmanager
        def open_client(cluster="local", *, workers=None, **_):
            yield client

        patch.setattr("orimap.cluster.client.open_client", open_client)
        return run(scan, folder, k="1:8")


def test_the_number_of_grains_and_their_map_are_found(finished, scan):
    truth = np.load(scan.with_suffix(".npz"))
    tree = results(finished)
    assert tree.attrs["decided_k"] == 3
    label = tree["clusters"]["cluster_label"].values
    assert adjusted_rand_score(truth["labels"].ravel(), label.ravel()) > 0.95
    weights = np.sort(truth["weights"], axis=-1)
    true_ratio = weights[..., -2] / weights[..., -1]
    assert np.abs(tree["overlap"]["overlap_ratio"].values - true_ratio).mean() < 0.1


def test_the_decision_tells_what_it_went_by(finished):
    facts = results(finished)["decision"].attrs
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
def test_every_stored_variable_is_as_declared(finished, group):
    ds = results(finished)[group]
    for name in GROUPS[group].split():
        array = getattr(variables, name).read(ds)
        assert array.attrs["units"] == getattr(variables, name).units, name
        assert array.attrs["long_name"], name


def test_every_variable_of_every_group_has_a_unit(finished):
    for group in results(finished).subtree:
        for name, array in group.variables.items():
            if name != "k":
                assert array.attrs.get("units"), f"{group.path}/{name}"


def test_labels_are_plain_integers(finished):
    group = zarr.open_group(finished / "analysis.zarr", path="clusters", mode="r")
    for name in ("cluster_label", "component_cluster"):
        assert group[name].dtype == np.int16
        assert "_FillValue" not in group[name].attrs
        stored = xr.open_zarr(finished / "analysis.zarr", group="clusters", consolidated=False)
        assert stored[name].dtype == np.int16


def test_the_root_tells_the_decision_and_alone_has_the_scan_coordinates(finished):
    tree = results(finished)
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
    store = zarr.open_group(finished / "analysis.zarr", mode="r")
    holders = [path for path, _ in store.members(max_depth=None) if path.endswith(variables.SCAN)]
    assert sorted(holders) == ["scan_x", "scan_y"]


def test_fits_have_unit_sum_and_account_for_the_counts(finished, counts):
    fit = results(finished)["fits/k03"]
    pattern, weight = fit["component_pattern"].values, fit["scan_weight"].values
    assert min(pattern.min(), weight.min()) >= 0
    np.testing.assert_allclose(pattern.sum(axis=(1, 2)), 1, rtol=1e-4)
    np.testing.assert_allclose(weight.sum(), counts.sum(), rtol=0.02)
    model = weight.reshape(-1, 3).astype(float) @ pattern.reshape(3, -1)
    loss = np.abs(counts.reshape(len(model), -1) - model).mean()
    assert fit.attrs["loss"] == pytest.approx(loss, rel=1e-4)
    decision = results(finished)["decision"]
    assert decision["k_component_loss"].sel(k=3) == pytest.approx(loss, rel=1e-4)
    assert decision["k_relative_loss"].sel(k=3) == pytest.approx(loss / counts.mean(), rel=1e-4)


def test_patterns_and_cluster_means_are_the_raw_counts(finished, counts):
    raw = xr.open_zarr(finished / "patterns.zarr", group="raw", consolidated=False)
    np.testing.assert_array_equal(raw["pattern_intensity"], counts)
    assert raw["pattern_intensity"].attrs["units"] == "electron"
    clusters = results(finished)["clusters"]
    for cluster in range(3):
        inside = clusters["cluster_label"].values == cluster
        np.testing.assert_allclose(
            clusters["cluster_mean_pattern"][cluster], counts[inside].mean(axis=0), rtol=1e-5
        )
        assert clusters["cluster_size"][cluster] == inside.sum()


def test_report_figures_and_record_lie_beside_the_stores(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "analysis.zarr", "patterns.zarr", "report.html", "figures", "run.json", ".lock",
    }  # fmt: skip
    assert list((finished / "figures").glob("*.png"))
    record = json.loads((finished / "run.json").read_text())
    assert {"request", "versions", "machine", "peak_bytes", "predicted_peak_bytes"} <= set(record)
    assert [step["name"] for step in record["steps"]] == [
        "ingest", "centre", "filter", "sketch", "fit", "score", "decide", "clusters", "baseline",
        "report",
    ]  # fmt: skip
    assert all(step["seconds"] > 0 and step["peak_bytes"] > 0 for step in record["steps"])


def test_the_same_request_again_does_nothing_at_once(finished, scan, same_workers):
    before = (finished / "run.json").stat().st_mtime_ns
    started = time.perf_counter()
    run(scan, finished, k="1:8", workers=1)
    assert time.perf_counter() - started < 2
    assert same_workers == []
    assert (finished / "run.json").stat().st_mtime_ns == before
    assert not (finished / ".unfinished").exists()


def same_results(one, other, k):
    """Compare labels, factors and decision of two runs."""
    a, b = results(one), results(other)
    assert a.attrs["decided_k"] == b.attrs["decided_k"]
    np.testing.assert_array_equal(a["clusters"]["cluster_label"], b["clusters"]["cluster_label"])
    for name in ("component_pattern", "scan_weight"):
        x, y = a[f"fits/k{k:02d}"][name].values, b[f"fits/k{k:02d}"][name].values
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * np.abs(x).max())


def test_the_size_of_chunks_changes_nothing(finished, scan, same_workers, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "chunk_bytes_for", lambda _scan, pattern, _most: 5 * pattern)
    run(scan, tmp_path, k="3:3")
    chunks = zarr.open_group(tmp_path / "patterns.zarr", path="raw")["pattern_intensity"].chunks
    assert chunks[0] * chunks[1] <= 5
    same_results(finished, tmp_path, 3)


def test_one_worker_gives_what_two_give_with_a_cluster_of_its_own(finished, scan, tmp_path):
    run(scan, tmp_path, k="3:3", workers=1)
    same_results(finished, tmp_path, 3)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["peak_bytes"] > 0


def test_another_range_of_k_uses_what_is_there(scan, same_workers, tmp_path):
    run(scan, tmp_path, k="2:4")
    chunk = next((tmp_path / "patterns.zarr" / "raw" / "pattern_intensity" / "c").rglob("0"))
    before = chunk.stat().st_mtime_ns
    run(scan, tmp_path, k="3:3")
    assert {"ingest", "sketch", "fit", "score"} <= reused(tmp_path)
    assert [p.name for p in sorted((tmp_path / "analysis.zarr" / "fits").glob("k*"))] == ["k03"]
    run(scan, tmp_path, k="3:5")
    assert {"ingest", "sketch"} <= reused(tmp_path)
    assert not {"fit", "score"} & reused(tmp_path)
    assert chunk.stat().st_mtime_ns == before
    assert results(tmp_path).attrs["request"]["k"] == [3, 5]


def test_restart_computes_everything_anew_from_the_file(scan, same_workers, tmp_path):
    run(scan, tmp_path, k="3:3", filter="mean")
    inode = (tmp_path / "patterns.zarr").stat().st_ino
    run(scan, tmp_path, k="3:3", filter="mean", restart=True)
    assert reused(tmp_path) == set()
    assert (tmp_path / "patterns.zarr").stat().st_ino != inode
    assert {"raw", "mean"} <= {p.name for p in (tmp_path / "patterns.zarr").iterdir()}


class InterruptedRunError(RuntimeError):
    pass


def raising(*_args, **_kwargs):
    raise InterruptedRunError


@pytest.mark.parametrize("step", [(factorise, "score"), (conclude, "compare_baseline")])
def test_a_run_that_broke_goes_on_where_it_stopped(
    finished, scan, same_workers, tmp_path, monkeypatch, step
):
    with monkeypatch.context() as patch:
        patch.setattr(*step, raising)
        with pytest.raises(InterruptedRunError):
            run(scan, tmp_path, k="3:3")
    assert not (tmp_path / "analysis.zarr").exists()
    run(scan, tmp_path, k="3:3")
    assert {"ingest", "sketch", "fit"} <= reused(tmp_path)
    same_results(finished, tmp_path, 3)


def test_the_last_results_stay_until_another_request_is_complete(
    scan, same_workers, tmp_path, monkeypatch
):
    run(scan, tmp_path, k="3:3")
    record = (tmp_path / "run.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_report", raising)
        with pytest.raises(InterruptedRunError):
            run(scan, tmp_path, k="3:3", roi="0:8,0:10")
    tree = results(tmp_path)
    assert tree.attrs["status"] == "complete"
    assert tree["clusters"]["cluster_label"].shape == SCAN
    raw = xr.open_zarr(tmp_path / "patterns.zarr", group="raw", consolidated=False)
    assert raw["pattern_intensity"].shape == (*SCAN, *DETECTOR)
    assert (tmp_path / "run.json").read_bytes() == record

    # A third request must not take over the second one's patterns and coordinates.
    run(scan, tmp_path, k="3:3", seed=5)
    raw = xr.open_zarr(tmp_path / "patterns.zarr", group="raw", consolidated=False)
    assert raw["pattern_intensity"].shape == (*SCAN, *DETECTOR)
    assert results(tmp_path)["scan_y"].shape == (12,)


def test_results_half_moved_when_a_run_was_killed_are_moved_by_the_next(
    scan, same_workers, tmp_path, monkeypatch
):
    run(scan, tmp_path, k="3:3")
    moves = []
    rename = type(tmp_path).rename

    def stop_at_the_third(self, target):
        moves.append(target)
        if len(moves) == 3:
            raise InterruptedRunError
        return rename(self, target)

    def publish(folder):
        with monkeypatch.context() as patch:
            patch.setattr(type(tmp_path), "rename", stop_at_the_third)
            original(folder)

    original = pipeline.RunFolder.publish
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.RunFolder, "publish", publish)
        with pytest.raises(InterruptedRunError):
            run(scan, tmp_path, k="3:3", seed=4)
    same_workers.clear()
    run(scan, tmp_path, k="3:3", seed=4)
    assert same_workers == []
    assert results(tmp_path).attrs["request"]["seed"] == 4
    assert json.loads((tmp_path / "run.json").read_text())["request"]["seed"] == 4
    assert {p.name for p in tmp_path.iterdir()} == {
        "analysis.zarr", "patterns.zarr", "report.html", "run.json", ".lock",
    }  # fmt: skip


def test_two_runs_cannot_write_one_folder(scan, same_workers, tmp_path):
    from orimap.tasks.store.run_folder import only_writer

    with only_writer(tmp_path), pytest.raises(InputError, match="another run"):
        run(scan, tmp_path, k="3:3")
    assert same_workers == []


def test_the_range_of_k_grows_when_the_best_touches_its_upper_end(scan, same_workers, tmp_path):
    run(scan, tmp_path, k="1:2")
    tree = results(tmp_path)
    assert tree["decision"]["k"].values[-1] > 2
    assert tree.attrs["decided_k"] == 3
    assert any("touches the edge" in note for note in tree.attrs["notes"])


def test_the_range_of_k_grows_when_the_best_touches_its_lower_end(scan, same_workers, tmp_path):
    run(scan, tmp_path, k="5:7")
    tree = results(tmp_path)
    np.testing.assert_array_equal(tree["decision"]["k"], np.arange(1, 8))
    assert tree.attrs["decided_k"] == 3


def test_a_single_k_is_taken_as_it_is(scan, same_workers, tmp_path):
    run(scan, tmp_path, k="2:2")
    tree = results(tmp_path)
    np.testing.assert_array_equal(tree["decision"]["k"], [2])
    assert tree.attrs["fitted_k"] == 2


def test_a_forced_number_is_used_whatever_the_evidence_says(scan, same_workers, tmp_path):
    run(scan, tmp_path, k="1:5", decided_k=2)
    tree = results(tmp_path)
    assert tree.attrs["fitted_k"] == 2
    assert tree["decision"].attrs["strategy"] == "forced"


@pytest.mark.parametrize("strategy", ["knee", "elbow", "silhouette", "published"])
def test_the_other_strategies_run_too(scan, same_workers, tmp_path, monkeypatch, strategy):
    # Images of the paper's size take minutes, whatever the scan.
    small = functools.partial(published.published_fits, side=16)
    monkeypatch.setattr(published, "published_fits", small)
    run(scan, tmp_path, k="2:4", strategy=strategy)
    tree = results(tmp_path)
    assert tree["decision"].attrs["strategy"] == strategy
    assert tree.attrs["fitted_k"] in (2, 3, 4)
    assert ("published" in tree) == (strategy == "published")


def test_a_scan_too_large_for_the_paper_s_fits_is_refused_before_any_work(
    scan, same_workers, tmp_path, monkeypatch
):
    monkeypatch.setattr(published, "MOST_POSITIONS", 100)
    with pytest.raises(InputError, match="12 x 14 = 168, which would take"):
        run(scan, tmp_path / "new", strategy="published")
    assert not (tmp_path / "new").exists()
    assert same_workers == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": "1:169"}, "no more components than scan positions"),
        ({"k": "1:3", "decided_k": 5}, "within --k"),
        ({"filter": "blur"}, "raw, mean, epattern"),
        ({"strategy": "coin"}, "a strategy"),
        ({"roi": (0, 13, 0, 14)}, "region within 12×14"),
        ({"dark_field": (0, 4, 0, 4)}, "add --filter epattern"),
        ({"filter": "epattern", "dark_field": (0, 65, 0, 4)}, "region within 64×64"),
    ],
)
def test_requests_at_fault_are_refused_before_anything_is_written(
    scan, same_workers, tmp_path, options, message
):
    with pytest.raises(InputError, match=message):
        run(scan, tmp_path / "out", **options)
    assert same_workers == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda scan: 0 * scan, "every value"),
        (lambda scan: scan * (np.hypot(*np.ogrid[-32:32, -32:32]) < 2), "beside the direct beam"),
    ],
)
def test_scans_without_diffraction_are_refused_and_leave_nothing(
    counts, same_workers, tmp_path, values, message
):
    file = saved(tmp_path, values(counts).astype(np.uint16))
    with pytest.raises(InputError, match=message):
        run(file, tmp_path / "out", k="1:3")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (
            lambda scan: scan * (np.hypot(*np.ogrid[-32:32, -32:32]) < 2),
            {"filter": "epattern"},
            "reflections beside the direct beam",
        ),
        (
            lambda scan: np.random.default_rng(0).poisson(1.0, scan.shape),
            {"centre": "yes"},
            "a direct beam to centre",
        ),
    ],
)
def test_what_needs_a_beam_or_reflections_says_so_where_there_are_none(
    counts, same_workers, tmp_path, values, options, message
):
    file = saved(tmp_path, values(counts).astype(np.uint16))
    with pytest.raises(InputError, match=message):
        run(file, tmp_path / "out", k="1:3", **options)
    assert not (tmp_path / "out").exists()


def test_a_single_crystal_has_one_cluster_everywhere(same_workers, tmp_path):
    file = tmp_path / "one.npy"
    write_scan(ScanRecipe(scan=(7, 9), detector=DETECTOR, grains=1, dose=3000, seed=1), file)
    run(file, tmp_path / "out", k="1:4")
    tree = results(tmp_path / "out")
    assert tree.attrs["decided_k"] == 1
    np.testing.assert_array_equal(tree["clusters"]["cluster_label"], 0)
    np.testing.assert_array_equal(tree["overlap"]["overlap_ratio"], 0)


def test_k_of_one_alone(scan, same_workers, tmp_path):
    run(scan, tmp_path, k="1:1")
    tree = results(tmp_path)
    assert (tree.attrs["decided_k"], tree.attrs["fitted_k"]) == (1, 1)


def test_the_mean_filter_from_end_to_end(scan, counts, same_workers, tmp_path):
    run(scan, tmp_path, k="3:3", filter="mean")
    tree = results(tmp_path)
    assert tree.attrs["decided_k"] == 3
    mean = xr.open_zarr(tmp_path / "patterns.zarr", group="mean", consolidated=False)
    np.testing.assert_allclose(
        mean["pattern_intensity"][5, 6], counts[4:7, 5:8].mean(axis=(0, 1)), rtol=1e-5
    )
    # Fidelity is always against what was acquired.
    label = tree["clusters"]["cluster_label"].values
    np.testing.assert_allclose(
        tree["clusters"]["cluster_mean_pattern"][0], counts[label == 0].mean(axis=0), rtol=1e-5
    )


def test_values_taken_as_no_counts_hold_nothing_out(scan, same_workers, tmp_path):
    run(scan, tmp_path, k="1:6", counts="no")
    tree = results(tmp_path)
    assert np.isnan(tree["decision"]["k_held_out_deviance"]).all()
    assert "sketch_training" not in tree.children
    assert tree.attrs["decided_k"] == 3
    # Blocks that no fit saw take the place of counts.
    assert np.isfinite(tree["decision"]["k_held_out_drop"][1:]).all()
    assert set(tree["decision"].attrs["skipped"]) == {"held-out counts", "spectrum"}


def test_floating_point_values_with_gaps_are_no_counts(counts, same_workers, tmp_path):
    values = counts.astype(np.float32) * 0.37
    values[2, 3, 10, 12] = np.nan
    values[4, 4, 20, 20] = -5
    run(saved(tmp_path, values), tmp_path / "out", k="2:5")
    tree = results(tmp_path / "out")
    assert not tree["acquisition"].attrs["counts_like"]
    assert tree["acquisition"].attrs["n_not_finite"] == 1
    assert tree.attrs["decided_k"] == 3
    assert np.isfinite(tree["clusters"]["cluster_mean_pattern"]).all()


def test_counts_cannot_be_claimed_for_floating_point(counts, same_workers, tmp_path):
    file = saved(tmp_path, counts.astype(np.float32))
    with pytest.raises(InputError, match="whole numbers"):
        run(file, tmp_path / "out", k="1:3", counts="yes")
    assert not (tmp_path / "out").exists()


def test_penalties_make_factors_sparser(finished, scan, same_workers, tmp_path):
    run(scan, tmp_path, k="3:3", l1="0.1,0.1")
    plain, sparse = results(finished)["fits/k03"], results(tmp_path)["fits/k03"]
    for name in ("component_pattern", "scan_weight"):
        assert (sparse[name].values == 0).mean() > (plain[name].values == 0).mean()


def test_regions_bins_and_masks_from_end_to_end(counts, same_workers, tmp_path):
    mask = np.zeros(DETECTOR, np.uint8)
    mask[40, 30] = 1
    np.save(tmp_path / "mask.npy", mask)
    run(
        saved(tmp_path, counts), tmp_path / "out", k="2:4", roi="1:11,2:13", crop="4:60,6:58",
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


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 9), (9, 1)])
def test_tiny_scans_and_single_lines_run(counts, same_workers, tmp_path, shape):
    run(saved(tmp_path, counts[: shape[0], : shape[1]]), tmp_path / "out")
    tree = results(tmp_path / "out")
    assert tree["clusters"]["cluster_label"].shape == shape
    assert 1 <= tree.attrs["decided_k"] <= max(1, shape[0] * shape[1] - 1)
    assert tree["decision"]["k"].values[-1] == max(1, shape[0] * shape[1] - 1)


def test_noiseless_patterns_that_span_few_directions_end_at_as_many(same_workers, tmp_path):
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (3, 32, 32)) * (rng.random((3, 32, 32)) > 0.7)
    label = np.arange(6)[:, None] // 2 * np.ones(7, int)
    run(saved(tmp_path, patterns[label].astype(np.uint16)), tmp_path / "out", k="1:6")
    tree = results(tmp_path / "out")
    assert tree["decision"]["k"].values[-1] == 3
    assert any("span only 3" in note for note in tree.attrs["notes"])
    assert adjusted_rand_score(
        label.ravel(), tree["clusters"]["cluster_label"].values.ravel()
    ) == pytest.approx(1)


KILLED_IN_THE_FITS = """
    import os, signal, sys
    from pathlib import Path
    from orimap.flows.pipeline.pipeline import run_pipeline
    from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
    from orimap.flows.pipeline.steps import factorise
    from orimap.flows.request.request import Request

    def kill(run, progress):
        print("killed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    if __name__ == "__main__":
        factorise.score = kill
        request = Request.read(file=sys.argv[1], output=sys.argv[2], k="3:3", workers=1)
        run_pipeline(request, PlainRunner(NoDisplay()))
"""


def test_a_killed_process_leaves_a_run_that_can_go_on(finished, scan, same_workers, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED_IN_THE_FITS))
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, script, scan, out], capture_output=True, text=True, timeout=180,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "analysis.zarr").exists()
    run(scan, out, k="3:3")
    assert {"ingest", "sketch", "fit"} <= reused(out)
    same_results(finished, out, 3)


def test_epattern_analyses_what_it_draws_and_keeps_the_list(scan, same_workers, tmp_path):
    run(scan, tmp_path, k="1:6", filter="epattern", centre="yes", dark_field="20:30,20:30")
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


def test_another_way_to_register_leaves_the_last_results_until_it_is_complete(
    scan, same_workers, tmp_path, monkeypatch
):
    run(scan, tmp_path, k="3:3", filter="epattern")
    before = xr.open_zarr(
        tmp_path / "patterns.zarr", group="reflections", consolidated=False
    ).load()
    kept = tmp_path / "patterns.zarr" / "raw" / "pattern_intensity"
    chunk = next(path for path in kept.rglob("*") if path.is_file())
    inode = chunk.stat().st_ino
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_report", raising)
        with pytest.raises(InterruptedRunError):
            run(scan, tmp_path, k="3:3", filter="epattern", epattern_lengths="paper")
    after = xr.open_zarr(tmp_path / "patterns.zarr", group="reflections", consolidated=False)
    xr.testing.assert_identical(before, after.load())
    run(scan, tmp_path, k="3:3", filter="epattern", epattern_lengths="paper")
    after = xr.open_zarr(tmp_path / "patterns.zarr", group="reflections", consolidated=False)
    assert after.attrs["lengths"] == "paper"
    # The patterns themselves were not written again.
    assert chunk.stat().st_ino == inode


def test_centred_patterns_give_what_patterns_that_never_moved_give(same_workers, tmp_path):
    recipe = {"scan": SCAN, "detector": DETECTOR, "grains": 3, "dose": 3000, "seed": 3}
    write_scan(ScanRecipe(**recipe, descan=6), tmp_path / "moved.zarr")
    run(tmp_path / "moved.zarr", tmp_path / "out", k="1:6")
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
