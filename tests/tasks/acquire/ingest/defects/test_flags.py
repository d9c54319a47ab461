import warnings

import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.ingest.blocks.gather_blocks import FLAGGED
from orimap.tasks.acquire.ingest.defects.flags import Flags, flags_of_file, flags_of_values
from orimap.tasks.acquire.ingest.ingest import ingest_acquisition
from orimap.tasks.acquire.open_acquisition import open_acquisition

SHAPE = (6, 8)


@pytest.fixture
def master(tmp_path):
    """An HDF5 file with masks of these values at these places."""

    def write(masks):
        path = tmp_path / "scan_master.h5"
        with h5py.File(path, "w") as file:
            for name, mask in masks.items():
                file[name] = mask
        return path

    return write


def gap(value=1, row=2):
    mask = np.zeros(SHAPE, np.uint32)
    mask[row] = value
    return mask


@pytest.mark.parametrize(
    "name",
    [
        "entry/instrument/detector/detectorSpecific/pixel_mask",
        "entry/instrument/detector/pixel_mask",
        "pixel_mask",
    ],
)
def test_the_mask_of_a_file_is_found_wherever_it_lies(master, name):
    flags = flags_of_file(master({name: gap(8)}), SHAPE)
    np.testing.assert_array_equal(flags.flagged, gap() > 0)
    (note,) = flags.notes
    assert note == f"8 pixels masked by the file itself (/{name})"


def test_a_virtual_pixel_was_measured_and_other_shapes_are_other_detectors(master):
    mask = gap(1 << 30)
    mask[0, 0] = (1 << 30) | 1
    flags = flags_of_file(master({"pixel_mask": mask, "a/pixel_mask": np.ones((9, 9))}), SHAPE)
    assert np.argwhere(flags.flagged).tolist() == [[0, 0]]


def test_masks_of_several_modules_are_put_together(master):
    path = master({"a/pixel_mask": gap()[None], "b/pixel_mask": gap(row=4)})
    flags = flags_of_file(path, SHAPE)
    assert np.flatnonzero(flags.flagged.all(axis=1)).tolist() == [2, 4]
    assert flags.notes[0].startswith("16 pixels")


def test_a_mask_of_everything_masks_nothing_and_other_files_have_none(master, tmp_path):
    assert not flags_of_file(master({"pixel_mask": np.ones(SHAPE, int)}), SHAPE).flagged.any()
    (tmp_path / "scan.npy").write_bytes(b"anything")
    assert flags_of_file(tmp_path / "scan.npy", SHAPE) == Flags(pytest.approx(0), ())


def extremes(dtype, largest=70):
    rng = np.random.default_rng(0)
    low = rng.integers(0, 3, SHAPE).astype(dtype)
    return low, low + rng.integers(1, largest - 2, SHAPE).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "number"),
    [("u2", 2**16 - 1), ("u4", 2**32 - 1), ("u4", 2**16 - 1), ("i4", 2**31 - 1), ("i2", 2**15 - 1)],
)
def test_the_largest_number_in_every_pattern_is_a_flag(dtype, number):
    low, high = extremes(dtype)
    low[3], high[3] = number, number
    flags = flags_of_values(low, high, 64)
    np.testing.assert_array_equal(flags.flagged, gap(row=3) > 0)
    assert f"{number:,} in every pattern" in flags.notes[0]


def test_a_saturated_beam_is_no_flag():
    low, high = extremes("u2")
    low[3, 3:5] = high[3, 3:5] = 2**16 - 1
    high[3, 2] = 40000
    assert not flags_of_values(low, high, 64).flagged.any()
    low, high = extremes("u1")
    low[3, 3:5] = high[3, 3:5] = 255
    assert not flags_of_values(low, high, 64).flagged.any()


def test_less_than_nothing_in_every_pattern_is_a_flag_and_read_out_noise_is_not():
    low, high = extremes("i4")
    low[3], high[3] = -1, -1
    low[1, 1] = high[1, 1] = -2
    flags = flags_of_values(low, high, 64)
    assert np.count_nonzero(flags.flagged) == 9
    assert "-2, -1 in every pattern" in flags.notes[0]
    low[0, 0] = -4
    assert not flags_of_values(low, high, 64).flagged.any()


def test_what_is_flagged_already_is_not_told_again():
    lowest = np.zeros(SHAPE, "u4")
    lowest[2] = 2**32 - 1
    known = np.zeros(SHAPE, bool)
    known[2] = True
    assert flags_of_values(lowest, lowest, 8, known).notes == ()
    known[2, 0] = False
    found = flags_of_values(lowest, lowest, 8, known)
    assert np.argwhere(found.flagged).tolist() == [[2, 0]]


def test_few_patterns_tell_nothing():
    low, high = extremes("u2")
    low[3], high[3] = 2**16 - 1, 2**16 - 1
    assert not flags_of_values(low, high, 3).flagged.any()


def test_flagged_pixels_are_masked_and_leave_counts_counts(client, tmp_path):
    rng = np.random.default_rng(1)
    counts = rng.poisson(4.0, (8, 9, 24, 26)).astype("i4")
    flagged = counts.copy()
    flagged[:, :, 10:12], flagged[:, :, 3, 4] = 2**31 - 1, -1
    found = []
    for name, scan in (("plain", counts), ("flagged", flagged)):
        np.save(tmp_path / f"{name}.npy", scan)
        acquisition = open_acquisition(tmp_path / f"{name}.npy")
        found.append(ingest_acquisition(client, acquisition, tmp_path / f"{name}.zarr", "m"))
    plain, ds = found
    mask = ds["detector_mask"].values
    assert set(mask[10:12].ravel()) == {FLAGGED} == {mask[3, 4]}
    assert np.count_nonzero(mask) == ds.attrs["n_flagged"] == ds.attrs["n_masked"] == 53
    assert ds.attrs["counts_like"]
    assert (ds.attrs["saturation_value"], ds.attrs["n_negative"]) == (None, 0)
    used = mask == 0
    expected = counts[..., used].sum(axis=-1)
    np.testing.assert_array_equal(ds["scan_total_intensity"], expected)
    np.testing.assert_array_equal(
        ds["detector_mean"].values[used], plain["detector_mean"].values[used]
    )
    assert ds["detector_maximum"].values.max() < 30
    assert any("-1 in every pattern" in note for note in ds.attrs["notes"])
    # Binned by two, a pixel goes where any of its four does.
    np.save(tmp_path / "f.npy", flagged)
    binned = ingest_acquisition(
        client, open_acquisition(tmp_path / "f.npy"), tmp_path / "b.zarr", "m", bin=2
    )
    places = np.argwhere(binned["detector_mask"].values == FLAGGED)
    assert {tuple(p) for p in places} == {(5, i) for i in range(13)} | {(1, 2)}


def test_floating_point_values_may_be_flagged_too():
    lowest = np.random.default_rng(0).integers(0, 3, (8, 9)).astype(np.float32)
    highest = lowest + 20
    highest[0, 0] = np.nan
    for array in (lowest, highest):
        array[3] = -1
        array[5, 5] = 2**32 - 1
    found = flags_of_values(lowest, highest, 64)
    assert np.argwhere(found.flagged).tolist() == [[3, x] for x in range(9)] + [[5, 5]]
    assert any("-1 in every pattern" in note for note in found.notes)
    # Noise around zero has no flags.
    noise = np.random.default_rng(1).normal(0, 14, (2, 8, 9))
    assert not flags_of_values(noise.min(axis=0), noise.max(axis=0), 64).flagged.any()


def test_numbers_of_two_bytes_are_compared_with_larger_ones_without_a_warning():
    low, high = np.zeros((4, 5), np.float16), np.full((4, 5), 60, np.float16)
    high[1, 2] = low[1, 2] = 32767
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = flags_of_values(low, high, 64)
    # 32767 itself is rounded to 32768 in two bytes: a number that was counted, for all we know.
    assert not found.flagged.any()


def flagged(dtype, values):
    low, high = extremes(dtype)
    for place, value in values:
        low[place] = high[place] = value
    return flags_of_values(low, high, 64)


@pytest.mark.parametrize(
    ("dtype", "number"), [("u2", 2**16 - 2), ("u4", 2**24 - 2), ("f4", 1e20), ("i8", 2**62)]
)
def test_other_numbers_far_above_all_that_changes_are_flags_too(dtype, number):
    flags = flagged(dtype, [(2, number)])
    np.testing.assert_array_equal(flags.flagged, gap() > 0)
    assert flags.notes[0].startswith("8 pixels masked: ")


def test_gaps_and_bad_pixels_may_hold_different_numbers():
    flags = flagged("u2", [(2, 2**16 - 1), ((4, 5), 2**16 - 2)])
    expected = gap() > 0
    expected[4, 5] = True
    np.testing.assert_array_equal(flags.flagged, expected)
    assert [note.split(" masked")[0] for note in flags.notes] == ["8 pixels", "1 pixel"]


def test_a_row_that_never_changes_is_stuck_and_a_beam_that_is_saturated_is_none():
    flags = flagged("u2", [(1, 150)])
    assert np.argwhere(flags.flagged.all(axis=1)).tolist() == [[1]]
    assert flags.notes == ("1 row of pixels masked: one number in every pattern looked at",)
    assert not flagged("u2", [(np.s_[2:4, 3:6], 150)]).flagged.any()
    assert not flagged("u2", [(1, 0)]).flagged.any()
