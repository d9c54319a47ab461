import shutil
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
import zarr
from google_crc32c import value as crc32c

from orimap.tasks.acquire.identity import ChangedError
from orimap.tasks.acquire.ingest import ingest
from orimap.tasks.acquire.ingest.defects.correction import Correction
from orimap.tasks.acquire.ingest.ingest import ingest_acquisition
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import groups
from orimap.tasks.stream.blocks import Block


# One pattern, two patterns, a row and a half, two rows, everything.
@pytest.mark.parametrize("chunk_bytes", [1, 200, 700, 900, 10**6])
def test_everything_arrives_whatever_the_chunks(
    client, opened, stored, tmp_path, small_scan, chunk_bytes
):
    store = tmp_path / "patterns.zarr"
    steps = []
    ds = ingest_acquisition(
        client, opened(small_scan), store, "m", chunk_bytes=chunk_bytes,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    raw = stored(store)
    np.testing.assert_array_equal(raw, small_scan)
    assert raw.dims == ("scan_y", "scan_x", "detector_y", "detector_x")
    assert (raw.dtype, raw.attrs["units"]) == (np.dtype("u2"), "electron")
    assert groups.complete_mark(store, "raw") == "m"
    assert steps[-1] == (ds.sizes["block"],) * 2
    total = small_scan.sum(axis=(2, 3))
    np.testing.assert_array_equal(ds["scan_total_intensity"], total)
    np.testing.assert_allclose(ds["detector_mean"], small_scan.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(ds["detector_maximum"], small_scan.max(axis=(0, 1)))
    assert ds.attrs["zero_fraction"] == np.mean(small_scan == 0)
    assert ds.attrs["mean_intensity"] == pytest.approx(small_scan.mean())
    assert ds["block_patterns"].sum() == 20
    for corner, checksum in zip(
        ds["block_corner"].values, ds["block_checksum"].values, strict=True
    ):
        y0, y1, x0, x1 = corner
        assert crc32c(small_scan[y0:y1, x0:x1].tobytes()) == checksum


def test_fano_factors_are_those_of_neighbours_in_a_row(client, opened, tmp_path, small_scan):
    ds = ingest_acquisition(client, opened(small_scan), tmp_path / "p.zarr", "m")
    a, b = small_scan[:, :-1].astype(float), small_scan[:, 1:].astype(float)
    expected = ((a - b) ** 2).sum(axis=(0, 1)) / (a + b).sum(axis=(0, 1))
    np.testing.assert_allclose(ds["detector_fano"], expected, rtol=1e-6)


def test_a_column_of_patterns_has_neighbours_too(client, opened, tmp_path, small_scan):
    column = small_scan.reshape(20, 1, 6, 7)
    ds = ingest_acquisition(client, opened(column), tmp_path / "p.zarr", "m")
    a, b = column[:-1].astype(float), column[1:].astype(float)
    expected = ((a - b) ** 2).sum(axis=(0, 1)) / (a + b).sum(axis=(0, 1))
    np.testing.assert_allclose(ds["detector_fano"], expected, rtol=1e-6)


def test_the_virtual_bright_field_is_the_sum_within_the_disc(client, opened, tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:32, :33]
    beam = 50 * np.exp(-((y - 15) ** 2 + (x - 17) ** 2) / 4)
    scan = rng.poisson(beam * rng.uniform(0.5, 1, (4, 5, 1, 1))).astype(np.uint16)
    ds = ingest_acquisition(client, opened(scan), tmp_path / "p.zarr", "m", chunk_bytes=5000)
    (cy, cx), radius = ds.attrs["beam_centre"], ds.attrs["beam_radius_px"]
    assert (cy, cx) == pytest.approx((15, 17), abs=0.3)
    inside = (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
    np.testing.assert_array_equal(ds["scan_virtual_bright_field"], scan[..., inside].sum(axis=-1))


def test_what_was_guessed_of_the_file_is_stored_beside_the_notes(
    client, opened, tmp_path, small_scan
):
    plain = opened(small_scan)
    assert ingest_acquisition(client, plain, tmp_path / "p.zarr", "m").attrs["guesses"] == []
    guessed = replace(plain, guesses=("its shape is not said; read as 4×5",))
    ds = ingest_acquisition(client, guessed, tmp_path / "q.zarr", "m")
    assert ds.attrs["guesses"] == ["its shape is not said; read as 4×5"]
    assert not any("its shape" in note for note in ds.attrs["notes"])


def test_a_pixel_that_is_mostly_not_finite_is_masked(client, opened, tmp_path):
    scan = np.ones((4, 5, 6, 7), np.float32)
    scan[:, 1:, 2, 2] = np.nan
    ds = ingest_acquisition(client, opened(scan), tmp_path / "p.zarr", "m")
    assert ds["detector_mask"].values[2, 2] == 8


def test_saturation_is_counted_across_blocks(client, opened, tmp_path, small_scan):
    scan = small_scan.copy()
    scan[0, 0, 3, 3], scan[3, 4, 3, 3], scan[3, 3, 2, 2] = 65535, 65535, 65534
    ds = ingest_acquisition(client, opened(scan), tmp_path / "p.zarr", "m", chunk_bytes=100)
    assert ds.attrs["saturation_value"] == 65535
    assert ds.attrs["n_saturated"] == ds["detector_saturated"].values[3, 3] == 2


def test_hot_pixels_are_left_out_of_the_total(client, opened, tmp_path):
    rng = np.random.default_rng(0)
    scan = rng.poisson(1.0, (6, 7, 20, 21)).astype(np.uint16)
    scan[:, :, 2, 3] = 400
    ds = ingest_acquisition(client, opened(scan), tmp_path / "p.zarr", "m", chunk_bytes=9000)
    assert (ds.attrs["n_hot"], ds["detector_mask"].values[2, 3]) == (1, 1)
    np.testing.assert_array_equal(ds["scan_total_intensity"], scan.sum(axis=(2, 3)) - 400)
    assert ds.attrs["counts_like"]


# Blocks at the edges of the scan fill their chunks only in part.
@pytest.mark.parametrize(
    ("dtype", "chunk_bytes"),
    [
        *(("u2", 500), ("u2", 1500), ("u2", 10**6), ("i2", 1500), ("f4", 1500)),
        *(
            pytest.param(dtype, chunk_bytes, marks=pytest.mark.slow)
            for dtype in ("u1", "i2", "u4", "f4")
            for chunk_bytes in (500, 1500, 10**6)
            if (dtype, chunk_bytes) not in {("i2", 1500), ("f4", 1500)}
        ),
    ],
)
def test_mostly_zero_or_not_the_findings_are_the_same(
    client, opened, stored, tmp_path, monkeypatch, dtype, chunk_bytes
):
    rng = np.random.default_rng(0)
    scan = rng.integers(-3 if np.dtype(dtype).kind in "if" else 0, 9, (5, 7, 16, 17))
    scan = np.where(rng.random(scan.shape) < 0.1, scan, 0).astype(dtype)
    found = {}
    for below in (0, 0.25):
        monkeypatch.setattr(ingest, "SPARSE_BELOW", below)
        store = tmp_path / f"{below}.zarr"
        acquisition = opened(scan)
        found[below] = ingest_acquisition(client, acquisition, store, "m", chunk_bytes=chunk_bytes)
        np.testing.assert_array_equal(stored(store), scan)
        assert (store / "sparse").exists() == (below > 0 and dtype != "f4")
    assert found[0.25].attrs == found[0].attrs
    xr.testing.assert_identical(found[0.25], found[0])


@pytest.mark.parametrize("options", [{"roi": (0, 5, 0, 5)}, {"crop": (3, 3, 0, 2)}, {"bin": 4}])
def test_regions_that_do_not_fit_are_refused(client, opened, tmp_path, small_scan, options):
    with pytest.raises(InputError):
        ingest_acquisition(client, opened(small_scan), tmp_path / "p.zarr", "m", **options)


def test_masks_that_do_not_fit_are_refused(client, opened, tmp_path, small_scan):
    np.save(tmp_path / "mask.npy", np.zeros((5, 5)))
    with pytest.raises(InputError, match="5×5"):
        ingest_acquisition(
            client, opened(small_scan), tmp_path / "p.zarr", "m", mask=tmp_path / "mask.npy"
        )


def test_patterns_of_nothing_but_zeros_are_written_too(client, opened, tmp_path, small_scan):
    store = tmp_path / "p.zarr"
    ds = ingest_acquisition(client, opened(small_scan * 0), store, "m", chunk_bytes=200)
    assert zarr.open_array(store, path="raw/pattern_intensity").nchunks_initialized == 10
    assert ds.attrs["zero_fraction"] == 1
    assert ds.attrs["mean_intensity"] == 0


def test_microscope_files_arrive_whole(client, shared_data, stored, tmp_path):
    acquisition = open_acquisition(shared_data / "formats" / "sped_2x3.blo")
    store = tmp_path / "p.zarr"
    ds = ingest_acquisition(client, acquisition, store, "m", chunk_bytes=50_000)
    raw = stored(store)
    np.testing.assert_array_equal(raw, acquisition.read(slice(None), slice(None)))
    assert raw.attrs["units"] == "grey level"
    assert not ds.attrs["counts_like"]
    assert ds.attrs["saturation_value"] == 255


@pytest.mark.parametrize("power", [-100, -60, 90])
def test_values_that_single_precision_cannot_square_are_scaled_exactly(
    client, opened, stored, tmp_path, small_scan, power
):
    plain = small_scan.astype(np.float64)
    found = ingest_acquisition(
        client, opened(np.ldexp(plain, power)), tmp_path / "scaled.zarr", "m"
    )
    exponent = found.attrs["intensity_exponent"]
    raw = stored(tmp_path / "scaled.zarr").values.astype(np.float64)
    np.testing.assert_array_equal(raw, np.ldexp(plain, power + exponent))
    assert 2**11 <= raw.max() <= 2**12
    assert any(f"multiplied by 2^{exponent}" in note for note in found.attrs["notes"])
    usual = ingest_acquisition(client, opened(plain), tmp_path / "plain.zarr", "m")
    assert usual.attrs["intensity_exponent"] == 0
    np.testing.assert_array_equal(found["detector_fano"] * 2.0 ** -(power + exponent),
                                  usual["detector_fano"])  # fmt: skip


@pytest.mark.parametrize(("dtype", "chunk_bytes"), [("u4", 10**6), ("u4", 9000), ("f4", 9000)])
def test_a_position_far_brighter_than_all_others_is_left_out(client, opened, stored, tmp_path,
                                                            dtype, chunk_bytes):  # fmt: skip
    rng = np.random.default_rng(0)
    y, x = np.indices((20, 22))
    mean = 0.2 + 30 * np.exp(-((y - 10) ** 2 + (x - 11) ** 2) / 8)
    plain = rng.poisson(mean, (6, 7, 20, 22)).astype(dtype)
    dazzled, without = plain.copy(), plain.copy()
    dazzled[2, 5] = dazzled[2, 5] * 10**6
    without[2, 5] = 0
    store = tmp_path / "p.zarr"
    ds = ingest_acquisition(client, opened(dazzled), store, "m", chunk_bytes=chunk_bytes)
    usual = ingest_acquisition(
        client, opened(without), tmp_path / "w.zarr", "m", chunk_bytes=chunk_bytes
    )
    assert (ds.attrs["n_dazzled"], usual.attrs["n_dazzled"]) == (1, 0)
    assert np.argwhere(ds["scan_measured"].values == 0).tolist() == [[2, 5]]
    np.testing.assert_array_equal(ds["scan_total_intensity"], usual["scan_total_intensity"])
    np.testing.assert_array_equal(ds["detector_maximum"], usual["detector_maximum"])
    # A pattern of zeros among others that are full is left out as well.
    assert usual.attrs["n_all_zero"] == 1
    np.testing.assert_allclose(ds["detector_mean"], usual["detector_mean"], rtol=1e-5)
    (note,) = [note for note in ds.attrs["notes"] if "brighter than usual" in note]
    assert note.startswith("1 position left out")
    # It is kept as acquired, and read as nothing.
    np.testing.assert_array_equal(stored(store), dazzled)
    source = PatternSource.open(store, "raw")
    np.testing.assert_array_equal(source.stored(Block(1, 4, 3, 7), "raw"), without[1:4, 3:7])


def test_what_is_usual_beside_vacuum_without_electrons_is_not_left_out(client, opened, tmp_path):
    rng = np.random.default_rng(0)
    scan = rng.poisson(0.002, (12, 12, 20, 22)).astype("u2")
    scan[5, 5] = rng.poisson(20, (20, 22))
    ds = ingest_acquisition(client, opened(scan), tmp_path / "p.zarr", "m")
    assert ds.attrs["n_dazzled"] == 0
    assert ds["scan_measured"].values.all()


def camera_scan(shape=(10, 30, 32, 36), gain=9, noise=14, offset=0, seed=0):
    """Patterns of a few electrons seen by a camera, and the electrons."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape[2:])
    mean = 60 * np.exp(-((y - 15) ** 2 + (x - 18) ** 2) / 20) + 0.3
    mean[5:8, 20:23] += 8
    electrons = rng.poisson(mean, shape)
    seen = gain * electrons + offset + noise * rng.standard_normal(shape)
    return np.rint(seen).astype(np.int16), electrons


@pytest.mark.parametrize("bin", [1, 2])
def test_noise_of_read_out_around_zero_makes_no_pedestal_of_its_own(
    client, opened, stored, tmp_path, bin
):
    seen, electrons = camera_scan()
    store = tmp_path / "patterns.zarr"
    ds = ingest_acquisition(client, opened(seen), store, "m", bin=bin, chunk_bytes=200_000)
    raw = stored(store)
    binned = seen.reshape(10, 30, 32 // bin, bin, 36 // bin, bin).sum(axis=(3, 5))
    np.testing.assert_array_equal(raw, binned)
    source = PatternSource.open(store, "raw")
    assert source.shift == pytest.approx(bin**2 * 14**2 / 9, rel=0.25)
    assert source.pedestal == pytest.approx(source.shift + bin**2 * ds.attrs["camera_offset"])
    assert ds.attrs["intensity_dispersion"] == pytest.approx(9, rel=0.1)
    # What is told of intensities is without it: cut off at 0, noise of 14 would add 5.6 to each.
    expected = 9 * bin**2 * electrons.mean()
    offset = bin**2 * ds.attrs["camera_offset"]
    assert ds.attrs["mean_intensity"] == pytest.approx(expected - offset, abs=0.5 * bin**2)
    np.testing.assert_allclose(
        ds["detector_mean"] + offset, binned.mean(axis=(0, 1)), atol=0.8 * bin**2
    )
    total = ds["scan_total_intensity"].values + offset * raw[0, 0].size
    np.testing.assert_allclose(total, binned.sum(axis=(2, 3)), rtol=0.03)
    assert any("noise of read-out" in note for note in ds.attrs["notes"])
    assert not ds.attrs["counts_like"]


def test_what_is_known_of_the_camera_makes_electrons(client, opened, stored, tmp_path):
    rng = np.random.default_rng(3)
    seen, electrons = camera_scan(noise=3)
    dark, unit = rng.uniform(80, 120, (32, 36)), rng.uniform(0.5, 1.5, (32, 36))
    seen = np.rint(seen * unit + dark).astype(np.int16)
    correction = Correction(
        dark.astype(np.float32), (9 * unit).astype(np.float32), True, ("said",), ("guessed",)
    )
    store = tmp_path / "patterns.zarr"
    ds = ingest_acquisition(client, opened(seen), store, "m", correction=correction)
    raw = stored(store)
    assert (raw.dtype, raw.attrs["units"]) == (np.dtype("f4"), "electron")
    np.testing.assert_allclose(raw, (seen - dark) / (9 * unit), atol=1e-3)
    assert abs(raw.values - electrons).mean() < 0.6
    assert ds.attrs["camera_gain"] == pytest.approx(1, rel=0.1)
    assert "said" in ds.attrs["notes"]
    assert ds.attrs["guesses"] == ["guessed"]


def test_counts_are_read_as_they_were_before_cameras_were_known(client, opened, tmp_path):
    _, electrons = camera_scan()
    store = tmp_path / "patterns.zarr"
    ds = ingest_acquisition(client, opened(electrons.astype(np.uint16)), store, "m")
    source = PatternSource.open(store, "raw")
    assert (source.shift, source.pedestal) == (0, 0)
    assert ds.attrs["counts_like"]
    np.testing.assert_array_equal(ds["scan_total_intensity"], electrons.sum(axis=(2, 3)))


def copied_over(new, path):
    shutil.copyfile(new, path)


def moved_over(new, path):
    new.replace(path)


def cut_short(new, path):
    path.write_bytes(new.read_bytes()[:900])


@pytest.mark.parametrize("when", [1, 20])
@pytest.mark.parametrize("replace_file", [copied_over, moved_over, cut_short])
def test_a_scan_that_changes_while_it_is_read_is_not_kept(
    client, opened, tmp_path, small_scan, replace_file, when
):
    acquisition = opened(small_scan)
    other, store = tmp_path / "other.npy", tmp_path / "patterns.zarr"
    np.save(other, small_scan[::-1])

    def progress(done, total):
        if (done, total) == (when, 20):
            replace_file(other, acquisition.path)

    with pytest.raises(ChangedError, match=r"scan\.npy"):
        ingest_acquisition(client, acquisition, store, "m", chunk_bytes=1, progress=progress)
    assert groups.complete_mark(store, "raw") is None
