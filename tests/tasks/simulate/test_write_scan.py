import numpy as np
import pytest
import xarray as xr

from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError
from orimap.tasks.simulate import write_scan as module
from orimap.tasks.simulate.grains import VOLTAGE_KV
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.scan import plan_scan
from orimap.tasks.simulate.write_scan import write_scan

RECIPE = ScanRecipe(scan=(5, 6), detector=(32, 32), grains=2, dose=500, hot=2, dead=3)


@pytest.fixture(scope="module")
def counts():
    return plan_scan(RECIPE).patterns(slice(None))


def test_zarr_holds_calibrated_patterns_in_chunks(tmp_path, counts, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 4 * 2 * 32 * 32)  # four patterns a chunk
    write_scan(RECIPE, tmp_path / "scan.zarr")
    stored = xr.open_zarr(tmp_path / "scan.zarr", consolidated=False).pattern_intensity
    assert stored.dims == ("scan_y", "scan_x", "detector_y", "detector_x")
    assert stored.dtype == np.uint16
    assert stored.encoding["chunks"] == (1, 4, 32, 32)
    np.testing.assert_array_equal(stored, counts)
    assert stored.scan_x.units == "nm"
    assert stored.detector_x.units == "1/Å"
    np.testing.assert_allclose(stored.scan_x, np.arange(6) * 5)
    np.testing.assert_allclose(stored.detector_y[[0, -1]], np.array([-15.5, 15.5]) * 2.8 / 32)


def test_npy_hspy_and_blo_hold_the_same_patterns(tmp_path, counts):
    from rsciio import blockfile, hspy

    for ending in ("npy", "hspy", "blo"):
        write_scan(RECIPE, tmp_path / f"scan.{ending}", force=True)
    np.testing.assert_array_equal(np.load(tmp_path / "scan.npy"), counts)
    (found,) = hspy.file_reader(tmp_path / "scan.hspy")
    np.testing.assert_array_equal(found["data"], counts)
    assert [axis["units"] for axis in found["axes"]] == ["nm", "nm", "1/Å", "1/Å"]
    assert [axis["navigate"] for axis in found["axes"]] == [True, True, False, False]
    (found,) = blockfile.file_reader(tmp_path / "scan.blo")
    assert counts.max() <= 255
    np.testing.assert_array_equal(found["data"], counts)
    assert found["axes"][0]["scale"] == pytest.approx(5)


@pytest.mark.parametrize("ending", ["zarr", "hspy", "blo"])
def test_the_energy_of_the_beam_can_be_read_again(tmp_path, ending):
    write_scan(RECIPE, tmp_path / f"scan.{ending}")
    assert open_acquisition(tmp_path / f"scan.{ending}").beam_energy_kev == VOLTAGE_KV


def test_bright_patterns_are_scaled_to_grey_levels_in_blo(tmp_path):
    from rsciio import blockfile

    bright = ScanRecipe(scan=(3, 4), detector=(32, 32), grains=1, dose=50_000)
    scan = write_scan(bright, tmp_path / "scan.blo")
    counts = scan.patterns(slice(None))
    levels = blockfile.file_reader(tmp_path / "scan.blo")[0]["data"]
    scale = float(np.load(tmp_path / "scan.npz")["counts_per_grey_level"])
    assert scale == pytest.approx(counts.max() / 255)
    assert levels.max() == 255
    np.testing.assert_allclose(levels, counts / scale, atol=0.5)


def test_truth_lies_beside_the_scan(tmp_path):
    scan = write_scan(RECIPE, tmp_path / "scan.npy")
    with np.load(tmp_path / "scan.npz") as truth:
        np.testing.assert_array_equal(truth["labels"], scan.labels)
        np.testing.assert_allclose(truth["weights"], scan.weights, atol=1e-7)
        np.testing.assert_allclose(truth["patterns"], scan.component_patterns, rtol=1e-6)
        np.testing.assert_array_equal(truth["hot_mask"], scan.hot_mask)
        assert truth["dead_mask"].sum() == 3
        assert truth["descan"].shape == (5, 6, 2)
        assert truth["misorientation_deg"].shape == (2, 2)


@pytest.mark.parametrize("ending", ["zarr", "npy", "hspy", "blo"])
def test_writing_again_by_force_replaces_the_old_scan_and_reports_progress(tmp_path, ending):
    out = tmp_path / f"scan.{ending}"
    calls = []
    for _ in range(2):
        write_scan(RECIPE, out, lambda *call: calls.append(call), force=True)
    assert calls[-1] == (5, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [out.name, "scan.npz", "scan.cif"]
    )


def test_nothing_is_simulated_into_a_store(tmp_path):
    write_scan(RECIPE, tmp_path / "scan.zarr")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="not inside a data set"):
        write_scan(RECIPE, tmp_path / "scan.zarr" / "more.npy")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("there", ["scan.zarr", "scan.npy", "scan.npz", "scan.cif"])
def test_a_scan_or_a_truth_that_exists_is_not_written_over(tmp_path, there):
    (tmp_path / there).write_text("somebody's work")
    name = "scan.hspy" if there in ("scan.npz", "scan.cif") else there
    with pytest.raises(InputError, match=f"{there}: already there"):
        write_scan(RECIPE, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "somebody's work"


@pytest.mark.parametrize("ending", ["zarr", "npy", "hspy"])
def test_a_failure_half_way_leaves_the_old_scan_alone(tmp_path, ending, counts):
    out = tmp_path / f"scan.{ending}"
    write_scan(RECIPE, out)

    def fail(done, total):
        raise RuntimeError("stopped")

    other = ScanRecipe(scan=(5, 6), detector=(32, 32), grains=1, seed=9)
    with pytest.raises(RuntimeError, match="stopped"):
        write_scan(other, out, fail, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [out.name, "scan.npz", "scan.cif"]
    )
    assert np.load(tmp_path / "scan.npz")["weights"].shape == (5, 6, 2)


@pytest.mark.parametrize(
    ("recipe", "name", "message"),
    [
        (RECIPE, "scan.tif", "ends in .zarr"),
        (RECIPE, "nowhere/scan.npy", "not there"),
        (ScanRecipe(scan=(3, 3), grains=1, detector=(32, 40)), "scan.blo", "square"),
        (ScanRecipe(scan=(512, 512), detector=(256, 256)), "scan.hspy", "32.0 GiB"),
    ],
)
def test_what_cannot_be_written_is_reported(tmp_path, recipe, name, message):
    with pytest.raises(InputError, match=message):
        write_scan(recipe, tmp_path / name)
    assert not list(tmp_path.iterdir())
