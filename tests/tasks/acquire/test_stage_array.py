import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.tasks.acquire import stage_array
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.acquire.stage_array import ArrayInput, write_array
from orimap.tasks.errors import InputError

ALL = (slice(None), slice(None))


@pytest.fixture
def acquisition(tmp_path):
    """Write an array and open what was written."""
    count = iter(range(100))

    def opened(array, axes=None, **asked):
        given = ArrayInput(array, axes)
        store = tmp_path / str(next(count)) / given.name
        write_array(given, store)
        return open_acquisition(store, axes=axes, **asked)

    return opened


@pytest.fixture
def labelled(small_scan):
    """The scan with coordinates: 2 nm and 0.05 1/Å apart."""
    dims = ("scan_y", "scan_x", "detector_y", "detector_x")
    coords = {
        name: (name, step * np.arange(size), {"units": units})
        for name, size, step, units in zip(
            dims, small_scan.shape, (2, 2, 0.5, 0.5), ("nm", "nm", "1/nm", "1/nm"), strict=True
        )
    }
    return xr.DataArray(small_scan, dims=dims, coords=coords, name="grains")


def test_an_array_reads_as_it_was(acquisition, small_scan):
    found = acquisition(small_scan)
    np.testing.assert_array_equal(found.read(*ALL), small_scan)
    assert (found.path.name, found.scan_units, found.dtype) == ("NumPy array", "px", np.uint16)


def test_what_a_dask_array_hides_behind_a_mask_is_not_read(acquisition, small_scan):
    masked = da.from_array(np.ma.masked_greater(small_scan, 3), chunks=(2, -1, -1, -1))
    with pytest.raises(InputError, match=r"dask\.array\.ma\.filled") as raised:
        ArrayInput(masked)
    assert raised.value.found == "a Dask array of masked arrays"
    # xarray makes numbers of it by itself.
    found = acquisition(xr.DataArray(masked, dims=("y", "x", "ky", "kx"))).read(*ALL)
    np.testing.assert_array_equal(found, np.where(small_scan > 3, np.nan, small_scan))


def test_what_is_filled_as_the_message_says_is_read_as_not_measured(acquisition, small_scan):
    masked = da.from_array(np.ma.masked_greater(small_scan, 3), chunks=(2, -1, -1, -1))
    found = acquisition(da.ma.filled(masked.astype(float), np.nan)).read(*ALL)
    np.testing.assert_array_equal(found, np.where(small_scan > 3, np.nan, small_scan))


def test_a_mask_that_only_the_computed_pieces_have_is_noticed(acquisition, small_scan):
    plain = da.from_array(small_scan, chunks=(2, -1, -1, -1))
    hidden = plain.map_blocks(np.ma.masked_greater, 3, meta=np.empty((0,) * 4, small_scan.dtype))
    with pytest.raises(InputError, match="found: a masked array"):
        acquisition(hidden)


def test_an_array_that_cannot_be_computed_is_not_called_a_damaged_file(acquisition, small_scan):
    array = da.from_array(small_scan, chunks=(2, -1, -1, -1))
    broken = array.map_blocks(lambda block: 1 / 0, dtype=small_scan.dtype, meta=small_scan[:0])
    with pytest.raises(InputError) as raised:
        acquisition(broken)
    assert raised.value.needed == "an array whose values can be computed"
    assert "failed: ZeroDivisionError: division by zero" in raised.value.found
    assert raised.value.found.startswith("computing a piece of it (0:2; ")


def test_zeros_are_counts_and_not_missing(acquisition):
    array = np.zeros((4, 5, 6, 7), np.uint8)
    array[3] = 1
    assert acquisition(array).no_data is None


def test_coordinates_with_units_are_the_calibration(acquisition, labelled):
    found = acquisition(labelled)
    assert found.path.name == "grains"
    assert (found.scan_step, found.scan_units) == ((2.0, 2.0), "nm")
    assert found.detector_step == pytest.approx((0.05, 0.05))
    assert found.detector_units == "1/Å"
    with_energy = labelled.assign_attrs(beam_energy_kev=200)
    assert acquisition(with_energy).beam_energy_kev == 200


def test_dimensions_in_another_order_are_told_by_their_names(acquisition, labelled, small_scan):
    turned = labelled.transpose("detector_x", "detector_y", "scan_x", "scan_y")
    found = acquisition(turned.chunk(scan_x=2))
    np.testing.assert_array_equal(found.read(*ALL), small_scan)
    assert found.scan_shape == (4, 5)
    assert any("are read as scan_y (4), scan_x (5)" in note for note in found.notes)


def test_axes_can_be_given(acquisition, small_scan):
    axes = "detector_y,detector_x,scan_y,scan_x"
    found = acquisition(small_scan.transpose(2, 3, 0, 1), axes)
    np.testing.assert_array_equal(found.read(*ALL), small_scan)


def test_patterns_in_one_row_have_the_shape_that_is_asked_for(acquisition, small_scan):
    found = acquisition(small_scan.reshape(20, 6, 7), scan_shape=(4, 5))
    np.testing.assert_array_equal(found.read(*ALL), small_scan)


@pytest.mark.parametrize(
    "chunks", [(2, 3, 6, 7), (4, 5, 2, 3), (1, 1, 6, 7), (4, 5, 6, 7)], ids=str
)
def test_chunks_do_not_change_what_an_array_is_known_by(acquisition, small_scan, chunks):
    lazy = da.from_array(small_scan, chunks=chunks)
    expected = acquisition(small_scan)
    found = acquisition(lazy)
    assert found.identity == expected.identity
    np.testing.assert_array_equal(found.read(*ALL), small_scan)


def test_values_axes_and_calibration_are_what_an_array_is_known_by(acquisition, labelled):
    other = labelled.copy(deep=True)
    other[3, 4, 5, 6] += 1
    arrays = [
        *(labelled, labelled.values, labelled.astype(np.int32), other),
        labelled.assign_coords(scan_x=labelled["scan_x"].assign_attrs(units="µm")),
        labelled.assign_coords(scan_x=3 * labelled["scan_x"]),
        labelled.assign_attrs(beam_energy_kev=200),
    ]
    assert len({acquisition(array).identity for array in arrays}) == len(arrays)
    assert acquisition(labelled.rename("other")).identity == acquisition(labelled).identity


def test_a_dask_array_is_computed_once_and_never_as_a_whole(tmp_path, small_scan):
    computed = []

    def load(block, block_info=None):
        computed.append(block_info[0]["chunk-location"])
        return block

    lazy = da.from_array(small_scan, chunks=(2, 2, 3, 7)).map_blocks(load, meta=small_scan[:0])
    given = ArrayInput(lazy)
    sizes = []
    read = given.array.__class__.__getitem__
    # Not on the workers that another test may have opened: what they load is not seen here.
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="threads"):
        patch.setattr(
            stage_array.Cut, "__getitem__", lambda own, cut: sizes.append(cut) or read(own, cut)
        )
        write_array(given, tmp_path / "array")
    assert len(computed) == len(set(computed)) == 2 * 3 * 2
    assert len(sizes) == 2 * 3
    np.testing.assert_array_equal(
        zarr.open_group(tmp_path / "array")[stage_array.TITLE][:], small_scan
    )


def test_an_array_in_memory_is_taken_in_pieces_of_whole_patterns(small_scan, monkeypatch):
    monkeypatch.setattr(stage_array, "BLOCK_BYTES", 3 * 6 * 7 * 2)
    blocks = ArrayInput(small_scan).blocks
    assert len(blocks) == 4 * 2
    assert {small_scan[block].shape for block in blocks} == {(1, 3, 6, 7), (1, 2, 6, 7)}


def test_what_lies_in_a_file_that_somebody_opened_is_read_piece_by_piece(
    acquisition, labelled, small_scan, tmp_path
):
    labelled.to_dataset().to_zarr(tmp_path / "own.zarr", zarr_format=3, consolidated=False)
    array = xr.open_zarr(tmp_path / "own.zarr", consolidated=False, chunks=None)
    found = acquisition(array)  # a data set with one array
    np.testing.assert_array_equal(found.read(*ALL), small_scan)
    assert found.scan_units == "nm"
    stored = zarr.open_group(tmp_path / "own.zarr")["grains"]
    np.testing.assert_array_equal(acquisition(stored).read(*ALL), small_scan)


def test_too_large_chunks_that_cut_the_detector_are_refused(small_scan, monkeypatch):
    monkeypatch.setattr(stage_array, "LARGEST_BLOCK_BYTES", 100)
    ArrayInput(da.from_array(small_scan, chunks=-1)).require_blocks()
    with pytest.raises(InputError, match=r"array\.rechunk\(\{2: -1, 3: -1\}\)"):
        ArrayInput(da.from_array(small_scan, chunks=(2, 2, 3, 7))).require_blocks()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.ones((4, 5), int), "NumPy array: 4×5"),
        (np.ones((0, 5, 6, 7)), "NumPy array: 0×5×6×7"),
        (np.ones((4, 5, 6, 7), complex), "patterns of real intensities"),
        (np.full((4, 5, 6, 7), "a"), "<U1"),
        (np.ma.masked_equal(np.ones((4, 5, 6, 7)), 1), r"filled\(numpy\.nan\)"),
        (xr.Dataset({"a": ("x", [1]), "b": ("x", [2])}), "a data set with a, b"),
        ([[1, 2], [3, 4]], "list"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_scan_is_refused(array, said):
    with pytest.raises(InputError, match=said):
        ArrayInput(array)
