from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.choose_signal import choose_signal, doubt_choice
from orimap.tasks.acquire.formats.meaning.axes import in_order
from orimap.tasks.acquire.formats.signals import Signal, unknown_axes
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)


def test_equal_scans_in_an_hdf5_file_ask_for_a_choice(tmp_path, small_scan):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["a/first"], file["a/second"] = small_scan, small_scan + 1
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "scan.h5")
    assert "a/first" in error.value.found
    assert "--dataset" in error.value.remedy
    chosen = open_acquisition(tmp_path / "scan.h5", dataset="/a/second")
    np.testing.assert_array_equal(chosen.read(ALL, ALL), small_scan + 1)
    with pytest.raises(InputError, match="a/first, a/second"):
        open_acquisition(tmp_path / "scan.h5", dataset="a/third")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Quad_9_Frame_CounterDepth_6_Rows_256.mib", "--scan-shape 3x3"),
        ("Si100_4D.emd", "--signal 0 to --signal 1"),
        ("ni_ebsd_3x3.h5", "--dataset"),
        ("16x16-diffraction_imagel_5x5x256x256_EDS_1.ser", ".emi"),
        ("001_4x2_6bit.hdr", ".mib"),
    ],
)
def test_files_that_leave_a_choice_say_what_they_need(shared_data, name, word):
    with pytest.raises(InputError) as error:
        open_acquisition(shared_data / "formats" / name)
    assert word in error.value.remedy


def test_a_stack_asks_for_the_scan_shape_and_checks_it(tmp_path, small_scan):
    np.save(tmp_path / "stack.npy", small_scan.reshape(20, 6, 7))
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "stack.npy")
    assert "20 patterns of 6×7" in error.value.found
    assert "--scan-shape" in error.value.remedy
    with pytest.raises(InputError, match="3×5 = 15"):
        open_acquisition(tmp_path / "stack.npy", scan_shape=(3, 5))


FILE = Path("scan.dat")


def data_set(title, *shape, navigate=None, dtype=np.uint16):
    """A data set of that shape, its axes of unknown kind or as told."""
    axes = unknown_axes(shape)
    if navigate is not None:
        axes = tuple(Axis("", n, navigate=one) for n, one in zip(shape, navigate, strict=True))
    return in_order(Signal(title, np.zeros(shape, dtype), axes, (FILE,)))


def test_four_axes_go_before_three_and_large_ones_before_small():
    stack, small = data_set("stack", 50, 6, 7), data_set("small", 2, 3, 6, 7)
    large, image = data_set("large", 4, 5, 6, 7), data_set("image", 60, 70)
    assert choose_signal(FILE, [stack, small, image, large], None) == (3, None)
    assert choose_signal(FILE, [image, stack, data_set("other", 20, 6, 7)], None) == (1, None)


def test_what_has_no_numbers_or_no_pattern_is_not_chosen():
    words = data_set("words", 2, 3, 6, 7, dtype="S3")
    line = data_set("line", 2, 3, 6, 1)
    scan = data_set("scan", 1, 2, 6, 7)
    assert choose_signal(FILE, [words, line, scan], None) == (2, None)


def test_axes_that_are_told_apart_must_be_scan_axes_before_detector_axes():
    spectra = data_set("spectra", 9, 9, 9, 9, navigate=[True, True, True, False])
    patterns = data_set("patterns", 2, 3, 6, 7, navigate=[True, True, False, False])
    assert choose_signal(FILE, [spectra, patterns], None) == (1, None)
    with pytest.raises(InputError, match=r"1 of its axes .* is of a detector"):
        choose_signal(FILE, [spectra], None)
    # All marked alike says nothing.
    alike = data_set("alike", 9, 9, 9, 9, navigate=[False] * 4)
    assert choose_signal(FILE, [alike, patterns], None) == (0, None)


def test_a_data_set_is_taken_by_its_title_before_its_number():
    sets = [data_set("1", 4, 5, 6, 7), data_set("b", 4, 5, 6, 7), data_set("c", 20, 6, 7)]
    assert choose_signal(FILE, sets, "1") == (0, None)
    assert choose_signal(FILE, sets, "b") == (1, None)
    assert choose_signal(FILE, sets, "2") == (2, None)
    with pytest.raises(InputError, match="called '3'") as error:
        choose_signal(FILE, sets, "3")
    assert "1: 'b' 4×5×6×7 uint16" in error.value.found


def test_an_image_cannot_be_asked_for():
    sets = [data_set("a", 4, 5, 6, 7), data_set("image", 6, 7)]
    with pytest.raises(InputError, match="called 'image'"):
        choose_signal(FILE, sets, "image")


@pytest.mark.parametrize(
    ("titles", "option"), [(("a", "b"), "--signal"), (("g/a", "g/b"), "--dataset")]
)
def test_scans_of_one_size_ask_for_a_choice_by_what_names_them(titles, option):
    with pytest.raises(InputError) as error:
        choose_signal(FILE, [data_set(title, 4, 5, 6, 7) for title in titles], None)
    assert error.value.found == (
        f"scan.dat holds 2 of one size: 0: '{titles[0]}' 4×5×6×7 uint16; "
        f"1: '{titles[1]}' 4×5×6×7 uint16"
    )
    assert error.value.remedy == f"choose one with {option}"


def test_stacked_scans_are_chosen_by_their_number_in_the_stack():
    stacked = [data_set("scans", 3, 4, 5, 6, 7)]
    assert choose_signal(FILE, stacked, "2") == (0, 2)
    with pytest.raises(InputError, match="--signal from 0 to 2"):
        choose_signal(FILE, stacked, "3")
    with pytest.raises(InputError) as error:
        choose_signal(FILE, stacked, None)
    assert "3 of them stacked, 3×4×5×6×7 uint16" in error.value.found
    assert error.value.remedy == "choose one with --signal 0 to --signal 2"


@pytest.mark.parametrize(
    ("sets", "found"),
    [
        ([], "holds no array of numbers with three to five axes"),
        ([data_set("image", 6, 7)], "0: 'image' 6×7 uint16"),
    ],
)
def test_a_file_without_a_scan_says_what_it_holds(sets, found):
    with pytest.raises(InputError) as error:
        choose_signal(FILE, sets, None)
    assert found in error.value.found


def test_one_of_several_stacks_is_chosen_by_its_name_and_a_number():
    sets = [data_set("a/frames", 3, 4, 5, 6, 7), data_set("b/frames", 2, 4, 5, 6, 7)]
    with pytest.raises(InputError) as error:
        choose_signal(FILE, sets, None)
    assert error.value.remedy == (
        "choose one with --signal 'a/frames[0]' to --signal 'a/frames[2]', or "
        "--signal 'b/frames[0]' to --signal 'b/frames[1]'"
    )
    assert choose_signal(FILE, sets, "b/frames[1]") == (1, 1)
    assert choose_signal(FILE, sets, "0[2]") == (0, 2)
    with pytest.raises(InputError, match=r"--signal from 0 to 1"):
        choose_signal(FILE, sets, "b/frames[2]")
    with pytest.raises(InputError, match=r"'b/frames\[0\]' to --signal 'b/frames\[1\]'"):
        choose_signal(FILE, sets, "b/frames")


def test_a_stack_of_one_scan_leaves_no_choice():
    one = data_set("frames", 1, 4, 5, 6, 7)
    assert choose_signal(FILE, [one], None) == (0, 0)
    assert choose_signal(FILE, [one], "frames") == (0, 0)
    assert choose_signal(FILE, [one], "frames[0]") == (0, 0)
    # It counts as a scan like any other.
    assert choose_signal(FILE, [data_set("small", 2, 3, 6, 7), one], None) == (1, 0)
    assert choose_signal(FILE, [data_set("large", 9, 9, 6, 7), one], None) == (0, None)
    with pytest.raises(InputError, match="2 of one size"):
        choose_signal(FILE, [data_set("other", 4, 5, 6, 7), one], None)


def test_the_one_scan_of_a_series_is_read(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan[None])
    acquisition = open_acquisition(tmp_path / "scan.npy")
    assert (acquisition.signal, acquisition.scan_shape) == ("scan[0]", (4, 5))
    np.testing.assert_array_equal(acquisition.read(ALL, slice(1, 3)), small_scan[:, 1:3])


@pytest.mark.parametrize("kind", ["npy", "h5", "zarr"])
@pytest.mark.parametrize("given", [True, False])
def test_complex_values_are_no_intensities(tmp_path, small_scan, kind, given):
    path, waves = tmp_path / f"scan.{kind}", small_scan.astype(np.complex64)
    if kind == "npy":
        np.save(path, waves)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["waves"] = waves
    else:
        zarr.open_group(path, mode="w").create_array("waves", data=waves)
    asked = {"signal": "0"} if given else {}
    with pytest.raises(InputError, match=r"real intensities\n.*complex values.*4×5×6×7 complex64"):
        open_acquisition(path, **asked)
    if kind == "h5" and given:
        with h5py.File(path, "a") as file:
            file["counts"] = small_scan
        np.testing.assert_array_equal(open_acquisition(path).read(ALL, ALL), small_scan)


def test_images_with_the_scan_axes_of_another_data_set_are_no_patterns():
    sets = [data_set("frames", 3, 4, 5, 6, 7), data_set("haadf", 3, 4, 5)]
    with pytest.raises(InputError) as error:
        choose_signal(FILE, sets, None)
    assert error.value.remedy == "choose one with --signal 'frames[0]' to --signal 'frames[2]'"
    assert choose_signal(FILE, sets, "frames[1]") == (0, 1)
    assert choose_signal(FILE, sets, "haadf") == (1, None)


def test_a_number_in_brackets_needs_a_stack():
    sets = [data_set("frames", 4, 5, 6, 7), data_set("frames[1]", 20, 6, 7)]
    assert choose_signal(FILE, sets, "frames[1]") == (1, None)
    with pytest.raises(InputError, match="several scans stacked in 'frames'"):
        choose_signal(FILE, sets, "frames[0]")


SCAN = data_set("scan", 14, 20, 16, 18)
FRAMES = data_set("frames", 280, 16, 18)


@pytest.mark.parametrize(
    ("sets", "chosen"),
    [
        ([SCAN], 0),
        ([SCAN, data_set("haadf", 14, 20)], 0),
        ([SCAN, data_set("strain", 500, 700, 3, 3)], 0),
        ([SCAN, data_set("thumbnails", 140, 200, 8, 8)], 0),
        ([SCAN, data_set("binned", 14, 20, 8, 9)], 0),
        ([SCAN, data_set("dark", 300, 16, 18)], 0),
        ([SCAN, data_set("overview", 2, 3, 160, 180)], 0),
        ([SCAN, data_set("virtual", 6000, 14, 20)], 0),
        ([data_set("virtual", 14, 20, 8, 8), FRAMES], 1),
        ([data_set("strain", 200, 300, 2, 2), FRAMES], 1),
    ],
)
def test_what_is_made_of_a_scan_is_neither_taken_for_it_nor_makes_it_a_guess(sets, chosen):
    assert choose_signal(FILE, sets, None) == (chosen, None)
    assert doubt_choice(sets, chosen) == ""


@pytest.mark.parametrize(
    ("other", "chosen", "why"),
    [
        (data_set("upsampled", 28, 40, 16, 18), 1, "the largest"),
        (data_set("small", 7, 10, 16, 18), 0, "the largest"),
        (data_set("whole", 900, 16, 18), 0, "which has 4 axes"),
        (data_set("series", 3, 14, 20, 16, 18), 0, "which has 4 axes"),
    ],
)
def test_one_of_several_that_may_be_the_scan_is_a_guess(other, chosen, why):
    sets = [SCAN, other]
    assert choose_signal(FILE, sets, None) == (chosen, None)
    guess = doubt_choice(sets, chosen)
    assert f"{sets[chosen].title!r} {'×'.join(map(str, sets[chosen].array.shape))}, {why}" in guess
    assert f"{1 - chosen}: {sets[1 - chosen].title!r}" in guess
    assert "--signal settles it" in guess


@pytest.mark.parametrize(
    ("sets", "left_out", "chosen"),
    [
        ([data_set("dark", 400, 16, 18), FRAMES], 0, 1),
        ([data_set("virtual", 14, 20, 8, 8), FRAMES], 0, 1),
        ([data_set("other", 28, 40, 16, 18), FRAMES], 0, 1),
        ([data_set("other", 28, 40, 16, 18), SCAN], 0, 1),
        ([FRAMES, data_set("frames and more", 283, 16, 18)], 3, 1),
    ],
)
def test_what_has_the_shape_that_was_asked_for_is_the_scan(sets, left_out, chosen):
    assert choose_signal(FILE, sets, None, (14, 20), left_out) == (chosen, None)
    assert doubt_choice(sets, chosen, (14, 20), left_out) == ""


def test_tensors_and_vectors_alone_are_no_scan():
    sets = [data_set("centres", 14, 20, 2), data_set("dpc", 14, 20, 2, 2)]
    with pytest.raises(InputError, match="detector axes of 4 pixels or more"):
        choose_signal(FILE, sets, None)


def test_a_choice_is_a_guess_of_the_acquisition_until_somebody_makes_it(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["raw/data"] = rng.poisson(3, (4, 5, 16, 17)).astype("u2")
        file["more/data"] = rng.poisson(3, (5, 6, 16, 17)).astype("u2")
    acquisition = open_acquisition(tmp_path / "scan.h5")
    assert (acquisition.signal, len(acquisition.guesses)) == ("more/data", 1)
    assert "'raw/data' 4×5×16×17 uint16 (--dataset settles it)" in acquisition.guesses[0]
    for asked in ({"dataset": "raw/data"}, {"signal": "raw/data"}, {"scan_shape": (4, 5)}):
        chosen = open_acquisition(tmp_path / "scan.h5", **asked)
        assert (chosen.signal, chosen.guesses) == ("raw/data", ())


def test_of_very_many_data_sets_the_first_are_named():
    images = [Signal(f"image {n}", np.zeros((8, 9)), unknown_axes((8, 9)), ()) for n in range(300)]
    with pytest.raises(InputError) as error:
        choose_signal(Path("scan.tif"), images, None)
    assert "19: 'image 19' 8×9 float64; and 280 more" in error.value.found
    assert "image 20" not in error.value.found
