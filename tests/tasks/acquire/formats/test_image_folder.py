import numpy as np
import pytest
from PIL import Image
from skimage.io import imread, imsave

from orimap.tasks.acquire.acquisition import open_acquisition
from orimap.tasks.acquire.formats.image_folder import natural_order, read_grey
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


def test_numbers_in_names_are_compared_as_numbers():
    names = ["p_10.png", "p_9.png", "p_1_2.png"]
    assert sorted(names, key=natural_order) == ["p_1_2.png", "p_9.png", "p_10.png"]
