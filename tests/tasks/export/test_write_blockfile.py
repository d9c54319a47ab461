import numpy as np
import pytest
from PIL import Image
from rsciio.blockfile import file_reader

from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.write_blockfile import CAMERA_LENGTH_CM, write_folder


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    path = tmp_path_factory.mktemp("blo")
    said = write_folder(read_contents(finished), path)
    assert {file.name for file in path.iterdir()} == set(said)
    return path


def test_the_blockfile_has_mean_patterns_above_representatives(folder):
    (signal,) = file_reader(folder / "clusters.blo")
    assert (signal["data"].shape, signal["data"].dtype) == ((2, 2, 7, 7), np.uint8)
    # Square: a row is added above and below. The beam is saturated, the reflection the brightest.
    expected = np.zeros((7, 7))
    expected[3, 3] = expected[3, 6] = 255
    for pattern in signal["data"].reshape(4, 7, 7):
        np.testing.assert_array_equal(pattern, expected)


def test_pixels_are_lengths_on_the_camera(folder):
    (signal,) = file_reader(folder / "clusters.blo")
    header = signal["original_metadata"]["blockfile_header"]
    assert (header["Beam_energy"], header["Camera_length"]) == (200_000, 2000)
    # 0.02 1/Å at a wavelength of 0.0250793 Å; the header has hundredths of pixels per cm.
    assert signal["axes"][3]["scale"] == pytest.approx(
        0.0250793 * CAMERA_LENGTH_CM * 0.02, rel=1e-3
    )
    assert "count from 1" in header["Note"]
    assert "0.02 1/A per pixel" in header["Note"]


def test_every_pattern_is_a_bitmap(folder):
    with Image.open(folder / "representative_2.bmp") as image:
        assert (image.format, image.mode, image.size) == ("BMP", "L", (7, 7))
        assert image.getpixel((6, 3)) == 255
    assert len(list(folder.glob("*.bmp"))) == 4


def test_grey_levels_are_linear_beside_the_beam(finished, tmp_path, monkeypatch):
    contents = read_contents(finished)
    mean = contents.tree["clusters"]["cluster_mean_pattern"].values
    mean[0, 4, 5] = 4  # 4 of 10
    mean[0, 0, 0] = 1000  # masked
    contents.tree["clusters"]["cluster_mean_pattern"][:] = mean
    write_folder(contents, tmp_path)
    (signal,) = file_reader(tmp_path / "clusters.blo")
    first = signal["data"][0, 0]
    assert (first[5, 5], first[1, 0], first[3, 6]) == (102, 0, 255)


def test_one_cluster_without_calibration_still_reads_as_a_scan(uncalibrated, tmp_path):
    contents = read_contents(uncalibrated)
    contents.tree["clusters"] = contents.tree["clusters"].to_dataset().isel(cluster=[1])
    write_folder(contents, tmp_path)
    (signal,) = file_reader(tmp_path / "clusters.blo")
    assert signal["data"].shape == (2, 2, 7, 7)
    np.testing.assert_array_equal(signal["data"][:, 0], signal["data"][:, 1])
    assert "Not calibrated." in signal["original_metadata"]["blockfile_header"]["Note"]
    assert len(list(tmp_path.glob("*.bmp"))) == 2
