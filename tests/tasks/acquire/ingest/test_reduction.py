import numpy as np
import pytest
from skimage.io import imsave

from orimap.tasks.acquire.ingest.reduction import (
    bin_counts,
    describe_reduction,
    read_detector_image,
    read_mask,
    reduce_patterns,
    stored_dtype,
    whole_or_part,
)
from orimap.tasks.errors import InputError


def test_the_kind_of_number_that_is_stored():
    kinds = {"?": "u1", "u1": "u1", ">u2": "u2", "i2": "i2", "u4": "u4", "i8": "i4", "f8": "f4"}
    for source, kept in kinds.items():
        assert stored_dtype(np.dtype(source)) == np.dtype(kept)
    binned = {"?": "u1", "u1": "u2", "u2": "u4", "i2": "i4", "u4": "u4", "f4": "f4"}
    for source, kept in binned.items():
        assert stored_dtype(np.dtype(source), 4) == np.dtype(kept)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
def test_bins_are_sums_and_what_is_left_over_is_cut_off(dtype):
    patterns = np.random.default_rng(0).integers(0, 200, (2, 3, 7, 8)).astype(dtype)
    kept = stored_dtype(np.dtype(dtype), 3)
    found = reduce_patterns(patterns, 3, kept)
    assert (found.shape, found.dtype) == ((2, 3, 2, 2), kept)
    for y, x in np.ndindex(2, 2):
        cut = patterns[:, :, 3 * y : 3 * y + 3, 3 * x : 3 * x + 3].astype(float)
        np.testing.assert_array_equal(found[:, :, y, x], cut.sum(axis=(2, 3)))


def test_without_bins_only_the_kind_of_number_changes():
    patterns = np.array([[[[1.5, np.nan], [-3.0, np.inf]]]])
    found = reduce_patterns(patterns, 1, np.dtype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, patterns)
    # In a sum, what is negative or not finite counts as nothing.
    assert reduce_patterns(patterns, 2, np.dtype(np.float32)).ravel() == [1.5]


@pytest.mark.parametrize(
    ("value", "found"),
    [(2**31, "values from 0 to 2,147,483,648"), (-(2**31) - 1, "values from -2,147,483,649 to 0")],
)
def test_integers_that_do_not_fit_are_told_with_their_range(value, found):
    patterns = np.zeros((1, 2, 3, 3), np.int64)
    patterns[0, 1, 2, 2] = value
    with pytest.raises(InputError) as error:
        reduce_patterns(patterns, 1, np.dtype(np.int32))
    assert error.value.found == found
    assert "--bin" in error.value.remedy


def test_a_region_is_the_whole_where_none_is_asked_for():
    assert whole_or_part(None, (4, 5), "--roi", "positions") == (0, 4, 0, 5)
    assert whole_or_part((1, 4, 0, 5), (4, 5), "--roi", "positions") == (1, 4, 0, 5)


@pytest.mark.parametrize("region", [(0, 5, 0, 5), (2, 2, 0, 5), (0, 4, -1, 5), (3, 1, 0, 5)])
def test_a_region_that_is_empty_or_reaches_beyond_is_refused(region):
    with pytest.raises(InputError) as error:
        whole_or_part(region, (4, 5), "--roi", "positions")
    assert error.value.needed == "a region within 4×5 positions"
    y0, y1, x0, x1 = region
    assert error.value.found == f"--roi {y0}:{y1},{x0}:{x1}"


def test_counts_a_pixel_are_added_up_over_bins():
    counts = np.arange(35).reshape(5, 7)
    np.testing.assert_array_equal(bin_counts(counts, 2, (2, 3)), [[16, 24, 32], [72, 80, 88]])
    np.testing.assert_array_equal(bin_counts(counts, 1, (5, 7)), counts)
    none = bin_counts(None, 2, (2, 3))
    assert (none.dtype, none.shape, none.any()) == (np.int64, (2, 3), False)


MASK = np.zeros((6, 8), np.uint8)
MASK[2, 3], MASK[5, 7] = 255, 1


@pytest.mark.parametrize("ending", [".npy", ".png", ".tif", ".bmp"])
def test_a_mask_is_cut_and_binned_as_the_patterns_are(tmp_path, ending):
    path = tmp_path / f"mask{ending}"
    if ending == ".npy":
        np.save(path, MASK)
    else:
        imsave(path, MASK, check_contrast=False)
    whole = (0, 6, 0, 8)
    np.testing.assert_array_equal(read_mask(path, (6, 8), whole, 1), MASK > 0)
    found = read_mask(path, (6, 8), (1, 6, 2, 8), 2)
    np.testing.assert_array_equal(found, [[True, False, False], [False, False, False]])
    np.testing.assert_array_equal(read_mask(None, (6, 8), (1, 6, 2, 8), 2), np.zeros((2, 3), bool))


def test_a_mask_may_have_the_size_of_the_crop(tmp_path):
    np.save(tmp_path / "mask.npy", MASK[1:6, 2:8])
    found = read_mask(tmp_path / "mask.npy", (6, 8), (1, 6, 2, 8), 1)
    np.testing.assert_array_equal(found, MASK[1:6, 2:8] > 0)


def test_masks_at_fault_say_what_is_wrong(tmp_path):
    path, whole = tmp_path / "mask.npy", (0, 6, 0, 8)
    with pytest.raises(InputError, match="no file of that name"):
        read_mask(path, (6, 8), whole, 1)
    path.write_text("words")
    with pytest.raises(InputError, match=r"mask\.npy cannot be read"):
        read_mask(path, (6, 8), whole, 1)
    np.save(path, MASK.T)
    with pytest.raises(InputError, match="has 8×6"):
        read_mask(path, (6, 8), whole, 1)
    np.save(path, np.ones((6, 8)))
    with pytest.raises(InputError) as error:
        read_mask(path, (6, 8), whole, 1)
    assert error.value.remedy == "invert it: pixels that are not zero are left out"


def test_what_is_not_taken_is_told_and_nothing_else():
    assert describe_reduction((4, 5), (6, 8), (0, 4, 0, 5), (0, 6, 0, 8), 1) == []
    assert describe_reduction((4, 5), (6, 8), (1, 4, 0, 5), (0, 6, 2, 8), 4) == [
        "only scan rows 1:4 and columns 0:5 are taken",
        "detector cut to rows 0:6 and columns 2:8",
        "4×4 detector pixels summed into one; 2 rows and 2 columns left over are cut off; "
        "negative values and those that are not finite count as 0 in it",
    ]


WHOLE = (0, 6, 0, 8)


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a.tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_colour_picture_has_no_one_value_a_pixel(tmp_path, name, channels):
    values = np.random.default_rng(0).integers(0, 250, (6, 8, channels)).astype(np.uint8)
    if name == "a.npy":
        np.save(tmp_path / name, values)
    else:
        imsave(tmp_path / name, values, check_contrast=False)
    with pytest.raises(InputError, match=f"{name} has 6×8×{channels}: a colour picture"):
        read_detector_image(tmp_path / name, (6, 8), WHOLE, "--dark")


def test_a_stack_of_pictures_in_one_file_is_averaged(tmp_path):
    values = np.arange(5 * 48, dtype=np.uint16).reshape(5, 6, 8)
    imsave(tmp_path / "a.tif", values, check_contrast=False)
    found, made = read_detector_image(tmp_path / "a.tif", (6, 8), WHOLE, "--dark")
    np.testing.assert_array_equal(found, values.mean(axis=0))
    assert made == "the mean of its 5 images"


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a.tif", "a.bmp", "a.txt"])
@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_what_cannot_be_read_is_named_whatever_its_reader_says(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} cannot be read"):
        read_detector_image(tmp_path / name, (6, 8), WHOLE, "--gain-map")


def test_archives_folders_and_other_numbers_are_no_pictures(tmp_path):
    with (tmp_path / "several.npy").open("wb") as file:
        np.savez(file, a=np.zeros((6, 8)))
    (tmp_path / "folder.npy").mkdir()
    np.save(tmp_path / "complex.npy", np.zeros((6, 8), complex))
    np.save(tmp_path / "records.npy", np.zeros((3, 6, 8), [("a", "f4")]))
    for name, said in (
        ("several.npy", "cannot be read"),
        ("folder.npy", "cannot be read"),
        ("complex.npy", "holds complex128"),
        ("records.npy", "holds"),
    ):
        with pytest.raises(InputError, match=said):
            read_detector_image(tmp_path / name, (6, 8), WHOLE, "--dark")


def test_an_image_with_rows_and_columns_swapped_is_told(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((8, 6)))
    with pytest.raises(InputError, match=r"a\.npy has 8×6\n.*swap its rows and columns"):
        read_detector_image(tmp_path / "a.npy", (6, 8), WHOLE, "--dark")
