import pickle
import shutil

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from matplotlib.figure import Figure

import orimap
from orimap.flows.interactive.pictures import MOST_IN_LEGEND, draw_map
from orimap.tasks.errors import InputError

NONE_COMPUTED = {"scheduler": lambda *_, **__: pytest.fail("something was computed")}


@pytest.fixture(scope="module")
def scan(small_run_scan):
    return small_run_scan


@pytest.fixture(scope="module")
def results(small_run):
    return small_run


@pytest.fixture(scope="module")
def stored(results):
    """The group of the clusters, as it lies on disk."""
    return zarr.open_group(results.folder / "analysis.zarr", path="clusters", mode="r")


@pytest.fixture(scope="module")
def raw(results):
    """All patterns, as they lie on disk."""
    return zarr.open_group(results.folder / "patterns.zarr", path="raw")["pattern_intensity"][:]


def test_the_answer(results):
    decision = results["decision"].attrs
    assert results.number == 2
    assert (results.confidence, results.reasons) == (decision["confidence"], decision["reasons"])
    assert results.headline == f"2 distinct patterns, {results.confidence} confidence"
    assert results.headline in repr(results)
    assert "6 × 7 positions" in repr(results)


def test_clusters_count_from_one_and_none_is_zero(results, stored):
    np.testing.assert_array_equal(results.labels, stored["cluster_label"][:] + 1)
    assert results.labels.dtype == np.int16
    assert results.shares["cluster"].values.tolist() == [1, 2]
    share = results.shares.sel(cluster=2)
    np.testing.assert_array_equal(share, stored["cluster_share"][..., 1])
    second = zarr.open_group(results.folder / "analysis.zarr")["overlap/second_label"][:]
    np.testing.assert_array_equal(results.overlap["second_label"], second + 1)


def test_maps_and_patterns_are_calibrated(results, scan, stored):
    given = xr.open_zarr(scan, consolidated=False)
    step = float(given["scan_y"][1] - given["scan_y"][0])
    for array in (results.labels, results.shares, results.overlap["overlap_ratio"]):
        assert array["scan_y"].attrs["units"] == "nm"
        np.testing.assert_allclose(array["scan_y"], step * np.arange(6))
    for name, array in (
        ("cluster_mean_pattern", results.mean_patterns),
        ("cluster_representative", results.representatives),
    ):
        assert array.dims == ("cluster", "detector_y", "detector_x")
        np.testing.assert_array_equal(array, stored[name][:])
        assert array["detector_x"].attrs["units"] == "1/Å"
        assert array.attrs["units"] == "electron"
        pixel = float(given["detector_x"][1] - given["detector_x"][0])
        assert float(array["detector_x"][1] - array["detector_x"][0]) == pytest.approx(pixel)
    assert set(results.overlap.dims) == {"scan_y", "scan_x"}


@pytest.mark.parametrize("number", [1, 2])
def test_a_cluster_is_all_its_raw_patterns(results, raw, number):
    with dask.config.set(NONE_COMPUTED):
        patterns = results.cluster(number)
    inside = results.labels.values == number
    assert patterns.dims == ("position", "detector_y", "detector_x")
    np.testing.assert_array_equal(patterns, raw[inside])
    row, column = np.nonzero(inside)
    assert patterns["row"].values.tolist() == row.tolist()
    assert patterns["scan_x"].values.tolist() == results.labels["scan_x"].values[column].tolist()
    assert patterns["detector_y"].attrs["units"] == "1/Å"


@pytest.mark.parametrize("number", [0, 3, -1, 1.5, "1", True, None, [1], float("nan")])
def test_a_cluster_that_is_not_there_is_refused(results, number):
    with pytest.raises(InputError, match="a cluster from 1 to 2\nfound: cluster ") as raised:
        results.cluster(number)
    assert raised.value.found == f"cluster {number!r}"


def test_numbers_of_numpy_are_numbers(results):
    assert results.cluster(np.int64(2)).name == "cluster_2"
    parts = results.decompose(np.uint8(2), np.float64(3))
    assert parts.attrs["position"] == [2, 3]
    line = results.along_line(np.array([0, 0]), np.array([0, 6]), np.int32(4))
    assert line.sizes["point"] == 4


@pytest.mark.usefixtures("same_workers")
def test_results_that_were_replaced_say_that_they_have_to_be_opened_again(results, tmp_path):
    shutil.copytree(results.folder, tmp_path / "out")
    opened = orimap.open(tmp_path / "out")
    labels = opened.labels
    new = orimap.decide(tmp_path / "out", components=3, no_merge=True, quiet=True)
    assert new.decompose(2, 3).sizes["cluster"] == new.number == 3
    for ask in (
        lambda: opened.decompose(2, 3),
        lambda: opened.along_line((0, 0), (0, 6)),
        lambda: opened.cluster(1),
        lambda: opened.labels,
        lambda: opened.overlap,
    ):
        with pytest.raises(InputError, match="have been replaced") as raised:
            ask()
        assert raised.value.remedy == f"open them again with orimap.open({str(tmp_path / 'out')!r})"
    assert "open them again" in repr(opened)
    assert "open them again" in opened._repr_html_()
    # What was read before stays what it was.
    np.testing.assert_array_equal(labels, results.labels)


def test_patterns_that_were_removed_are_asked_for(results, tmp_path):
    (tmp_path / "analysis.zarr").symlink_to(results.folder / "analysis.zarr")
    without = orimap.open(tmp_path)
    assert without.number == 2
    with pytest.raises(InputError, match=r"patterns\.zarr"):
        without.cluster(1)


def test_one_pattern_is_taken_apart(results, raw):
    parts = results.decompose(2, 3)
    assert parts.attrs["label"] == int(results.labels[2, 3])
    np.testing.assert_array_equal(
        parts["decomposed_share"].sel(cluster=1), results.shares.sel(cluster=1)[2, 3]
    )
    total = parts["decomposed_contribution"].sum("cluster") + parts["decomposed_background"]
    np.testing.assert_allclose(
        total + parts["decomposed_residual"], parts["decomposed_pattern"], atol=1e-3
    )
    assert parts["decomposed_pattern"]["detector_y"].attrs["units"] == "1/Å"
    with pytest.raises(InputError, match="row 6, column 0"):
        results.decompose(6, 0)


def test_a_line_has_a_point_for_every_position(results):
    line = results.along_line((0, 0), (0, 6))
    assert line["line_position"].values.tolist() == [[0, x] for x in range(7)]
    np.testing.assert_array_equal(line["line_share"].sel(cluster=2), results.shares[0, :, 1])
    assert results.along_line((0, 0), (0, 6), 4).sizes["point"] == 4


def test_the_tree_is_all_that_is_stored(results, stored):
    np.testing.assert_array_equal(results["clusters"]["cluster_label"], stored["cluster_label"][:])
    assert results["overlap/overlap_ratio"].dims == ("scan_y", "scan_x")
    assert results.attrs == results.tree.attrs
    assert "clusters" in results
    assert "cluster" not in results
    assert {"clusters", "overlap", "decision"} <= set(results)


def test_a_legend_has_room_for_so_many_clusters_and_counts_the_rest():
    labels = xr.DataArray(np.arange(36).reshape(4, 9), dims=("scan_y", "scan_x"))
    axes = Figure().subplots()
    draw_map(axes, labels, None, "35", {2: "matrix"})
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[:2] == ["1   2.8 %", "matrix   2.8 %"]
    assert legend[MOST_IN_LEGEND:] == ["none", f"and {35 - MOST_IN_LEGEND} more"]
    assert axes.get_xlabel() == "scan_x"


def test_a_map_is_drawn_with_its_legend(results):
    axes = results.plot()
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    share = [100 * float((results.labels == n).mean()) for n in (1, 2)]
    assert legend[:2] == [f"1   {share[0]:.1f} %", f"2   {share[1]:.1f} %"]
    assert axes.get_xlabel() == "scan_x (nm)"
    left, right, bottom, top = axes.images[0].get_extent()
    x = results.labels["scan_x"].values
    assert (left, right) == pytest.approx((x[0] - x[1] / 2, x[-1] + x[1] / 2))
    assert bottom > top
    assert results.plot(axes) is axes


def test_a_notebook_shows_map_answer_and_reasons(results):
    page = results._repr_html_()
    assert results.headline in page
    assert 'src="data:image/png;base64,iVBOR' in page
    assert page.count("<li>") == len(results.reasons)


def test_a_revision_stands_in_place_of_the_automatic_result(results, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(results.folder, copy)
    orimap.edit(copy, merge=[(1, 2)], rename={1: "matrix"}, revision="mine", quiet=True)
    mine = orimap.open(copy, "mine")
    inside = mine.labels.values == 1
    assert (results.labels.values > 0)[~inside].sum() == 0
    assert mine.number == 1
    assert mine.cluster(1).sizes["position"] == inside.sum()
    assert mine.decompose(0, 0).attrs["label"] == mine.labels[0, 0]
    share = 100 * inside.mean()
    assert mine.plot().get_legend().get_texts()[0].get_text() == f"1 matrix   {share:.1f} %"
    assert mine.mean_patterns["cluster_name"].values.tolist() == ["matrix"]
    assert "cluster_name" not in results.mean_patterns.coords
    # Nobody has measured how sure a number is that somebody chose.
    assert mine.headline == "1 cluster, edited by hand (revision mine)"
    assert mine.confidence == "by hand"
    merged, *_, automatic = mine.reasons
    assert merged == "Clusters 1 and 2 were merged."
    assert automatic == f"The automatic result: {results.headline}."
    assert orimap.open(copy).number == 2


@pytest.mark.parametrize(
    ("folder", "revision", "found"),
    [
        ("a" * 300, None, "File name too long"),
        (5, None, "int, which is no path"),
        (None, 5, "no revisions there"),
        (None, ["edit-1"], "no revisions there"),
    ],
)
def test_what_cannot_be_opened_is_said(results, folder, revision, found):
    with pytest.raises(InputError) as raised:
        orimap.open(results.folder if folder is None else folder, revision)
    assert raised.value.found == found


def test_results_can_be_sent_to_another_process(results):
    sent = pickle.loads(pickle.dumps(results))
    assert (sent.folder, sent.number) == (results.folder, 2)
