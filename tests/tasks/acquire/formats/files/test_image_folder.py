import os

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.io import imread, imsave

from orimap.tasks.acquire.formats.files.image_folder import read_grey
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)
GREY = np.random.default_rng(0).integers(0, 256, (6, 7), np.uint8)


@pytest.mark.parametrize("ending", ["bmp", "png", "tif"])
@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "I;16"])
def test_every_kind_of_image_is_read_as_scikit_image_reads_it(tmp_path, ending, mode):
    if (mode, ending) == ("I;16", "bmp"):
        pytest.skip("there are no 16-bit grey BMP files")
    path = tmp_path / f"image.{ending}"
    image = Image.fromarray(GREY.astype(np.uint16) * 200) if mode == "I;16" else None
    (image or Image.fromarray(GREY).convert(mode)).save(path)
    expected = imread(path)
    expected = expected if expected.ndim == 2 else expected[..., 0]
    found = read_grey(path)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    found[0, 0] += 1  # an array of one's own


@pytest.mark.parametrize("ending", [".bmp", ".png", ".tif"])
def test_a_folder_of_images_is_read_in_the_order_of_its_numbers(tmp_path, small_scan, ending):
    patterns = small_scan.astype(np.uint8).reshape(20, 6, 7)
    for number, pattern in enumerate(patterns, start=1):
        colour = np.stack([pattern] * 3, axis=-1) if number % 2 else pattern
        imsave(tmp_path / f"image_{number}{ending}", colour, check_contrast=False)
    with pytest.raises(InputError, match="20 patterns"):
        open_acquisition(tmp_path)
    acquisition = open_acquisition(tmp_path, scan_shape=(4, 5))
    assert acquisition.grey_levels
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    imsave(tmp_path / f"image_9{ending}", np.zeros((8, 8), np.uint8), check_contrast=False)
    with pytest.raises(InputError, match="image_9"):
        open_acquisition(tmp_path, scan_shape=(4, 5))


def images(folder, count=12):
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24), np.uint8)
        Image.fromarray(pixels).save(folder / f"p_{number:02d}.png")
    return folder


@pytest.mark.parametrize("which", [0, 5, 11])
def test_an_image_that_is_cut_in_its_pixels_is_named(tmp_path, which):
    folder = images(tmp_path / "scan")
    path = folder / f"p_{which:02d}.png"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=rf"a whole image \(p_{which:02d}\.png\)"):
        open_acquisition(folder, scan_shape=(3, 4)).read(ALL, ALL)


def test_an_image_that_is_none_is_named(tmp_path):
    folder = images(tmp_path / "scan")
    (folder / "p_05.png").write_bytes(b"no image at all" * 20)
    with pytest.raises(InputError, match=r"a whole image \(p_05\.png\)"):
        open_acquisition(folder, scan_shape=(3, 4))


def test_an_image_that_claims_more_pixels_than_any_file_holds_is_refused(tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    side = (2**31 - 1).to_bytes(4, "little")
    tags = [(256, 4, side), (257, 4, side), (258, 3, b"\x10\0\0\0"), (259, 3, b"\1\0\0\0"),
            (262, 3, b"\1\0\0\0"), (273, 4, b"\x80\0\0\0"), (277, 3, b"\1\0\0\0"),
            (278, 4, side), (279, 4, b"\x40\0\0\0")]  # fmt: skip
    directory = b"".join(
        tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + b"\1\0\0\0" + value
        for tag, kind, value in tags
    )
    head = b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little") + directory + bytes(4)
    for number in range(4):
        (folder / f"{number}.tif").write_bytes(head.ljust(128, b"\0") + bytes(64))
    with pytest.raises(InputError, match=r"a whole image \(0\.tif\)\n.*4611686014132420609 pixels"):
        open_acquisition(folder, scan_shape=(2, 2))


def test_names_that_are_no_text_are_refused(tmp_path):
    folder = images(tmp_path / "scan")
    (folder / "p_05.png").rename(folder / os.fsdecode(b"p_\xe9.png"))
    with pytest.raises(InputError, match=r"a name in UTF-8.*\n.*p_.udce9\.png"):
        open_acquisition(folder, scan_shape=(3, 4))


def write_frames(folder, patterns, name="frame_{number:04d}.mib"):
    """Write Merlin files of one frame each; rows lie from the bottom up."""
    folder.mkdir()
    for number, pattern in enumerate(patterns):
        height, width = pattern.shape
        head = f"MQ1,{number + 1:06d},00384,01,{width:04d},{height:04d},U16,   1x1,01,"
        pixels = pattern[::-1].astype(">u2").tobytes()
        y, x = divmod(number, 5)
        path = folder / name.format(number=number, x=x, y=y)
        path.write_bytes(head.ljust(384).encode() + pixels)


def test_a_folder_of_single_merlin_frames_is_one_acquisition(tmp_path, small_scan):
    patterns = small_scan.reshape(20, 6, 7)
    write_frames(tmp_path / "frames", patterns)
    with pytest.raises(InputError, match="20 patterns of 6×7 in one row"):
        open_acquisition(tmp_path / "frames")
    acquisition = open_acquisition(tmp_path / "frames", scan_shape=(4, 5))
    assert acquisition.reader == "QuantumDetector"
    assert not acquisition.grey_levels
    np.testing.assert_array_equal(acquisition.read(ALL, slice(1, 4)), small_scan[:, 1:4])


def test_single_merlin_frames_are_placed_by_their_names_too(tmp_path, small_scan):
    write_frames(tmp_path / "frames", small_scan.reshape(20, 6, 7), "p_x{x}_y{y}.mib")
    acquisition = open_acquisition(tmp_path / "frames")
    assert acquisition.scan_shape == (4, 5)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


def test_one_of_many_single_frames_says_that_the_folder_is_to_be_named(tmp_path, small_scan):
    write_frames(tmp_path / "frames", small_scan.reshape(20, 6, 7))
    with pytest.raises(InputError, match="holds one, as do 19 other") as error:
        open_acquisition(tmp_path / "frames" / "frame_0003.mib")
    assert error.value.remedy == "give the folder frames: it is one acquisition"


def test_a_folder_with_whole_merlin_scans_is_none_itself(tmp_path, small_scan):
    write_frames(tmp_path / "frames", small_scan.reshape(20, 6, 7)[:2])
    one = (tmp_path / "frames" / "frame_0000.mib").read_bytes()
    (tmp_path / "frames" / "frame_0001.mib").write_bytes(one * 3)
    with pytest.raises(InputError, match=r"frame_0001\.mib has 3"):
        open_acquisition(tmp_path / "frames")


def test_images_named_by_column_and_row_are_a_scan(tmp_path, small_scan):
    for y, row in enumerate(small_scan.astype(np.uint8)):
        for x, pattern in enumerate(row):
            imsave(tmp_path / f"pattern_x{x}y{y}.bmp", pattern, check_contrast=False)
    acquisition = open_acquisition(tmp_path)
    assert (acquisition.scan_shape, acquisition.guesses) == ((4, 5), ())
    np.testing.assert_array_equal(acquisition.read(slice(1, 3), slice(2, 5)), small_scan[1:3, 2:5])
    by_name = open_acquisition(tmp_path, image_names="order", scan_shape=(5, 4))
    np.testing.assert_array_equal(by_name.read(ALL, ALL), small_scan.swapaxes(0, 1))
    assert by_name.identity != acquisition.identity
    with pytest.raises(InputError, match="say 4×5"):
        open_acquisition(tmp_path, scan_shape=(5, 4))


def test_hidden_files_are_passed_over_and_named(tmp_path):
    folder = images(tmp_path / "scan")
    (folder / "._p_00.png").write_bytes(b"\0\5\26\7")
    acquisition = open_acquisition(folder, scan_shape=(3, 4))
    assert "1 hidden file is left out: ._p_00.png" in acquisition.notes
    for file in list(folder.iterdir()):
        if not file.name.startswith("."):
            file.unlink()
    with pytest.raises(InputError, match="hidden files only"):
        open_acquisition(folder, scan_shape=(3, 4))


@pytest.mark.parametrize(
    ("odd", "found", "needed"),
    [
        (np.zeros((8, 9), np.uint8), "p_00.png is 8×9", "20×24, as p_01.png"),
        (np.zeros((20, 24), np.uint16), "p_00.png is 20×24 of uint16", "20×24 of uint8"),
    ],
)
def test_the_odd_image_is_named_and_not_the_standard(tmp_path, odd, found, needed):
    folder = images(tmp_path / "scan")
    Image.fromarray(odd).save(folder / "p_00.png")
    with pytest.raises(InputError) as error:
        open_acquisition(folder, scan_shape=(3, 4))
    assert found in error.value.found
    assert needed in error.value.needed


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_where_zero_is_white_values_are_read_the_other_way_round(tmp_path, dtype):
    patterns = np.random.default_rng(0).integers(0, 200, (12, 6, 7)).astype(dtype)
    for number, pattern in enumerate(patterns):
        stored = np.iinfo(dtype).max - pattern
        tifffile.imwrite(tmp_path / f"p_{number:02d}.tif", stored, photometric="miniswhite")
    acquisition = open_acquisition(tmp_path, scan_shape=(3, 4))
    np.testing.assert_array_equal(acquisition.read(ALL, ALL).reshape(12, 6, 7), patterns)
    assert any("0 is white" in note for note in acquisition.notes)
