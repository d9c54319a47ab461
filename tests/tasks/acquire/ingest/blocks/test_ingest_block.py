import h5py
import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.ingest import ingest
from orimap.tasks.acquire.ingest.blocks.gather_blocks import FLAGGED
from orimap.tasks.acquire.ingest.ingest import ingest_acquisition
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError
from orimap.tasks.store import groups


def test_regions_bins_and_masks(client, opened, stored, tmp_path, small_scan):
    mask = np.zeros((6, 7), np.uint8)
    mask[2, 3] = 1
    np.save(tmp_path / "mask.npy", mask)
    store = tmp_path / "p.zarr"
    ds = ingest_acquisition(
        client, opened(small_scan), store, "m", roi=(1, 4, 0, 3), crop=(1, 6, 1, 6), bin=2,
        mask=tmp_path / "mask.npy", chunk_bytes=60,
    )  # fmt: skip
    cut = small_scan[1:4, 0:3, 1:5, 1:5].reshape(3, 3, 2, 2, 2, 2).sum(axis=(3, 5))
    raw = stored(store)
    np.testing.assert_array_equal(raw, cut)
    assert raw.dtype == np.uint32  # four times 65535 is more than 16 bits
    # Row 2 of the file is row 1 after the crop, and in the first binned row.
    np.testing.assert_array_equal(ds["detector_mask"], [[0, 4], [0, 0]])
    np.testing.assert_array_equal(
        ds["scan_total_intensity"], cut.sum(axis=(2, 3)) - cut[:, :, 0, 1]
    )
    np.testing.assert_array_equal(raw["scan_y"], [1, 2, 3])
    # Pixels 1 and 2 of six, whose middle is pixel 3: the first bin lies at 1.5 - 3.
    np.testing.assert_array_equal(raw["detector_y"], [-1.5, 0.5])
    notes = " ".join(ds.attrs["notes"])
    assert "rows 1:4" in notes
    assert "1 rows and 1 columns left over" in notes


def test_values_that_are_no_intensities_are_kept_and_counted(client, opened, stored, tmp_path):
    scan = np.ones((4, 5, 6, 7), np.float64)
    scan[..., 0, 0] = 2
    scan[0, 0, 1, 2], scan[1, 1, 1, 2], scan[2, 2, 3, 3] = np.nan, np.inf, -4
    store = tmp_path / "p.zarr"
    ds = ingest_acquisition(client, opened(scan), store, "m", chunk_bytes=400)
    np.testing.assert_array_equal(stored(store), scan.astype(np.float32))
    assert ds["detector_not_finite"].values[1, 2] == 2
    assert (ds.attrs["n_not_finite"], ds.attrs["n_negative"]) == (2, 1)
    assert ds["detector_negative"].values[3, 3] == 1
    assert ds["scan_total_intensity"].values[2, 2] == 42
    assert not ds.attrs["counts_like"]


def test_integers_that_do_not_fit_are_refused_and_leave_nothing_complete(
    client, opened, stored, tmp_path
):
    scan = np.ones((4, 5, 6, 7), np.int64)
    scan[..., 0, 0] = 2
    store = tmp_path / "p.zarr"
    ingest_acquisition(client, opened(scan), store, "m")
    assert stored(store).dtype == np.int32
    scan[3, 3, 3, 3] = 2**40
    with pytest.raises(InputError, match="1,099,511,627,776"):
        ingest_acquisition(client, opened(scan), store, "m")
    assert groups.complete_mark(store, "raw") is None


@pytest.mark.parametrize("broken", ["pattern_intensity", "entry_pixel", "entry_value"])
def test_a_chunk_that_reads_back_differently_is_an_error(
    opened, tmp_path, small_scan, monkeypatch, broken
):
    store = tmp_path / "p.zarr"
    write = zarr.Array.__setitem__

    class Here:
        """Run what a cluster would, in this process."""

        def submit(self, work, *arguments, **_):
            return work(*arguments)

    def map_here(_client, work, blocks, plan, **_):
        return (work(block, plan) for block in blocks)

    def write_something_else(array, place, values):
        other = array.store_path.store.root.name == broken
        write(array, place, values + 1 if other else values)

    monkeypatch.setattr(ingest, "map_blocks", map_here)
    monkeypatch.setattr(zarr.Array, "__setitem__", write_something_else)
    mostly_zero = np.where(small_scan > 5, small_scan, 0)
    with pytest.raises(OSError, match="reads back differently"):
        ingest_acquisition(Here(), opened(mostly_zero), store, "m")
    assert groups.complete_mark(store, "raw") is None


@pytest.mark.parametrize("bin", [1, 2])
def test_positions_without_a_number_are_not_measured_and_change_nothing_else(
    client, opened, tmp_path, small_scan, bin
):
    whole = small_scan.astype(np.float32)
    stopped = np.concatenate([whole, np.full_like(whole[:1], np.nan)])
    found = {}
    for name, scan in (("whole", whole), ("stopped", stopped)):
        found[name] = ingest_acquisition(
            client, opened(scan), tmp_path / f"{name}.zarr", "m", bin=bin, chunk_bytes=900
        )
    plain, ds = found["whole"], found["stopped"]
    assert ds["scan_measured"].values.tolist() == [[1] * 5] * 4 + [[0] * 5]
    assert (ds.attrs["n_not_measured"], plain.attrs["n_not_measured"]) == (5, 0)
    for name in ("detector_mean", "detector_mask", "detector_not_finite", "detector_maximum"):
        np.testing.assert_array_equal(ds[name], plain[name])
    for name in ("mean_intensity", "n_not_finite", "n_masked"):
        assert ds.attrs[name] == plain.attrs[name]
    assert any(note.startswith("5 positions hold no valid number") for note in ds.attrs["notes"])


def bright_scan():
    """Patterns of about 700 electrons each."""
    y, x = np.indices((20, 22))
    mean = 0.2 + 30 * np.exp(-((y - 10) ** 2 + (x - 11) ** 2) / 8)
    return np.random.default_rng(0).poisson(mean, (9, 7, 20, 22)).astype("u2")


@pytest.mark.parametrize(
    ("chunk_bytes", "fillvalue", "bin"),
    [
        *((10**6, 0, 1), (10**6, 65535, 2), (900, 0, 2)),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in ((10**6, 0, 2), (10**6, 65535, 1), (900, 0, 1), (900, 65535, 1))
        ),
        pytest.param(900, 65535, 2, marks=pytest.mark.slow),
    ],
)
def test_positions_of_which_the_file_has_no_data_are_not_measured_and_change_nothing_else(
    client, stored, tmp_path, bin, fillvalue, chunk_bytes
):
    scan = bright_scan()
    with h5py.File(tmp_path / "stopped.h5", "w") as file:
        made = file.create_dataset(
            "p", (12, 7, 20, 22), "u2", chunks=(1, 7, 20, 22), fillvalue=fillvalue
        )
        made[2:11] = scan
    np.save(tmp_path / "whole.npy", scan)
    found = {}
    for name, roi in (("whole.npy", None), ("stopped.h5", (1, 12, 0, 7))):
        acquisition = open_acquisition(tmp_path / name)
        store = tmp_path / f"{name}.zarr"
        found[name] = ingest_acquisition(
            client, acquisition, store, "m", bin=bin, roi=roi, chunk_bytes=chunk_bytes
        )
    plain, ds = found["whole.npy"], found["stopped.h5"]
    assert ds["scan_measured"].values.tolist() == [[0] * 7] + [[1] * 7] * 9 + [[0] * 7]
    assert (ds.attrs["n_not_measured"], plain.attrs["n_not_measured"]) == (14, 0)
    assert not stored(store).values[[0, -1]].any()
    for name in ("detector_mean", "detector_mask", "detector_maximum", "detector_saturated"):
        np.testing.assert_array_equal(ds[name], plain[name])
    for name in ("mean_intensity", "counts_like", "n_masked", "n_saturated"):
        assert ds.attrs[name] == plain.attrs[name]
    assert sum("have no data" in note for note in ds.attrs["notes"]) == 1
    assert not any("nothing but zeros" in note for note in ds.attrs["notes"])


@pytest.mark.parametrize(("fillvalue", "bin"), [(0, 2), (65535, 1)])
def test_pixels_of_which_the_file_has_no_data_are_masked_and_change_nothing_else(
    client, stored, tmp_path, bin, fillvalue
):
    scan = bright_scan()
    with h5py.File(tmp_path / "part.h5", "w") as file:
        made = file.create_dataset(
            "p", scan.shape, "u2", chunks=(3, 7, 10, 22), fillvalue=fillvalue
        )
        made[:, :, :10] = scan[:, :, :10]
    acquisition = open_acquisition(tmp_path / "part.h5")
    ds = ingest_acquisition(client, acquisition, tmp_path / "part.zarr", "m", bin=bin)
    assert ds["scan_measured"].values.all()
    expected = np.zeros((20 // bin, 22 // bin), int)
    expected[10 // bin :] = FLAGGED
    np.testing.assert_array_equal(ds["detector_mask"], expected)
    assert ds.attrs["n_flagged"] == ds.attrs["n_masked"] == expected.size // 2
    assert not stored(tmp_path / "part.zarr").values[:, :, 10 // bin :].any()
    np.testing.assert_allclose(
        ds["scan_total_intensity"], scan[:, :, :10].sum(axis=(2, 3)), rtol=1e-6
    )
    assert ds.attrs["n_saturated"] == 0
    (note,) = [note for note in ds.attrs["notes"] if "masked" in note]
    assert note.startswith("220 of 440 pixels of the detector, in its rows 10 to 19")


def test_positions_without_a_number_are_found_beside_pixels_without_data(client, tmp_path):
    scan = bright_scan().astype("f4")
    scan[4, 2:5] = np.nan
    with h5py.File(tmp_path / "part.h5", "w") as file:
        made = file.create_dataset("p", scan.shape, "f4", chunks=(3, 7, 10, 22))
        made[:, :, :10] = scan[:, :, :10]
    acquisition = open_acquisition(tmp_path / "part.h5")
    ds = ingest_acquisition(client, acquisition, tmp_path / "part.zarr", "m")
    np.testing.assert_array_equal(
        np.argwhere(ds["scan_measured"].values == 0), [[4, 2], [4, 3], [4, 4]]
    )
    assert (ds.attrs["n_without_number"], ds.attrs["n_not_finite"]) == (3, 0)


@pytest.mark.parametrize(("dtype", "number"), [("u2", 2**16 - 1), ("i4", -1), ("f4", 5)])
def test_positions_that_hold_one_number_alone_were_not_measured(
    client, opened, tmp_path, dtype, number
):
    scan = bright_scan().astype(dtype)
    filled = scan.copy()
    filled[6:, 3:] = number
    ds, usual = (
        ingest_acquisition(client, opened(one), tmp_path / f"{name}.zarr", "m")
        for name, one in (("filled", filled), ("usual", scan))
    )
    measured = ds["scan_measured"].values > 0
    np.testing.assert_array_equal(~measured, (filled == number).all(axis=(2, 3)))
    np.testing.assert_array_equal(
        ds["scan_total_intensity"].values[measured], usual["scan_total_intensity"].values[measured]
    )
    np.testing.assert_allclose(ds["detector_mean"], scan[measured].mean(axis=0), rtol=1e-6)
    assert (ds.attrs["n_not_measured"], ds.attrs["n_saturated"], ds.attrs["n_negative"]) == (
        (~measured).sum(), 0, 0)  # fmt: skip
    (note,) = [note for note in ds.attrs["notes"] if "one number in all pixels" in note]
    assert note.startswith(f"{(~measured).sum()} positions hold")


@pytest.mark.parametrize(("dtype", "number"), [("i8", 2**62), ("f4", 1e30)])
def test_flags_that_cannot_be_computed_with_are_stored_as_nothing(
    client, opened, stored, tmp_path, dtype, number
):
    scan = bright_scan().astype(dtype)
    scan[:, :, 4] = number
    ds = ingest_acquisition(client, opened(scan), tmp_path / "p.zarr", "m")
    assert ds.attrs["n_flagged"] == ds.attrs["n_masked"] == scan.shape[3]
    assert ds.attrs["intensity_exponent"] == 0
    scan[:, :, 4] = 0
    np.testing.assert_array_equal(stored(tmp_path / "p.zarr"), scan)


def test_a_region_of_which_the_file_has_no_data_is_refused(client, tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        made = file.create_dataset("p", (12, 7, 20, 22), "u2", chunks=(1, 7, 20, 22))
        made[:9] = bright_scan()
    with pytest.raises(InputError, match=r"--roi 10:12,0:7, of which scan\.h5 holds nothing"):
        ingest_acquisition(
            client, open_acquisition(tmp_path / "scan.h5"), tmp_path / "p", "m", roi=(10, 12, 0, 7)
        )


@pytest.mark.parametrize("chunk_bytes", [10**6, 9000])
def test_patterns_of_zeros_at_the_end_of_a_stopped_scan_are_not_measured(
    client, opened, tmp_path, chunk_bytes
):
    scan = bright_scan()
    scan[7, 3:] = 0
    scan[8] = 0
    ds = ingest_acquisition(client, opened(scan), tmp_path / "p.zarr", "m", chunk_bytes=chunk_bytes)
    assert ds["scan_measured"].values.tolist() == [[1] * 7] * 7 + [[1] * 3 + [0] * 4] + [[0] * 7]
    np.testing.assert_allclose(
        ds["detector_mean"], scan.reshape(63, 20, 22)[:52].mean(axis=0), rtol=1e-6
    )
    (note,) = [note for note in ds.attrs["notes"] if "nothing but zeros" in note]
    assert note.startswith("11 patterns hold nothing but zeros")
    assert "taken as not measured" in note


def test_patterns_of_zeros_are_believed_where_others_hold_few_electrons(client, opened, tmp_path):
    scan = np.random.default_rng(0).poisson(0.004, (9, 7, 20, 22)).astype("u2")
    empty = ~scan.any(axis=(2, 3))
    assert 0 < empty.sum() < 63
    ds = ingest_acquisition(client, opened(scan), tmp_path / "p.zarr", "m")
    assert ds["scan_measured"].values.all()
    assert (
        f"{empty.sum()} patterns hold nothing but zeros: kept, since others are dim as well"
        in (ds.attrs["notes"])
    )


def test_a_scan_without_a_single_number_is_refused(client, opened, tmp_path):
    with pytest.raises(InputError, match="nothing but values that are not finite"):
        ingest_acquisition(
            client, opened(np.full((3, 4, 6, 7), np.nan, "f4")), tmp_path / "p.zarr", "m"
        )
