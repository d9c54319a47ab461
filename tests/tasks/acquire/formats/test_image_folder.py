import numpy as np
import pytest
from PIL import Image
from skimage.io import imread

from orimap.tasks.acquire.formats.image_folder import read_grey

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
