import numpy as np
import pytest

from orimap.tasks.acquire.acquisition import open_acquisition
from orimap.tasks.acquire.ingest.sample import CAMERA_PIXELS, SAMPLE_PATTERNS, Sample, _some_pixels

SCAN, DETECTOR = (10, 12), (40, 44)


@pytest.fixture
def sampled(tmp_path):
    """What a scan tells, all of it or a part."""

    def sample(scan, roi=None, crop=None, bin=1):
        np.save(tmp_path / "scan.npy", scan)
        acquisition = open_acquisition(tmp_path / "scan.npy")
        roi = roi or (0, scan.shape[0], 0, scan.shape[1])
        crop = crop or (0, scan.shape[2], 0, scan.shape[3])
        return Sample.of(acquisition, roi, crop, bin)

    return sample


@pytest.fixture
def counts():
    y, x = np.indices(DETECTOR)
    mean = 40 * np.exp(-((y - 19) ** 2 + (x - 21) ** 2) / 30) + 0.4
    return np.random.default_rng(0).poisson(mean, (*SCAN, *DETECTOR)).astype(np.uint16)


def test_mean_and_filling_are_those_of_patterns_from_all_over_the_scan(sampled, counts):
    found = sampled(counts)
    rows, columns = (np.unique(np.linspace(0, side - 1, 8).round().astype(int)) for side in SCAN)
    assert len(rows) * len(columns) == SAMPLE_PATTERNS
    chosen = counts[np.ix_(rows, columns)]
    np.testing.assert_allclose(found.mean, chosen.mean(axis=(0, 1)))
    assert found.filled == pytest.approx(np.mean(chosen > 0))
    assert (found.exponent, found.scale_notes) == (0, [])
    part = sampled(counts, roi=(2, 5, 1, 4), crop=(10, 30, 4, 40), bin=2)
    cut = counts[2:5, 1:4, 10:30, 4:40].mean(axis=(0, 1))
    np.testing.assert_allclose(part.mean, cut.reshape(10, 2, 18, 2).sum(axis=(1, 3)))


def test_the_camera_is_measured_without_flagged_pixels_in_units_of_what_is_stored(sampled, counts):
    rng = np.random.default_rng(1)
    camera = 9.0 * counts + 50 + rng.normal(0, 3, counts.shape)
    plain = sampled(np.rint(camera).astype(np.int32))
    assert plain.camera.gain == pytest.approx(9, rel=0.08)
    assert plain.camera.offset == pytest.approx(50, abs=1.5)
    flagged = np.rint(camera).astype(np.int32)
    flagged[:, :, 7] = 2**31 - 1
    assert sampled(flagged).camera.gain == pytest.approx(9, rel=0.08)
    scaled = sampled((camera * 1e-30).astype(np.float32))
    assert scaled.camera.gain == pytest.approx(9e-30 * 2.0**scaled.exponent, rel=0.08)
    assert sampled(np.rint(camera[:, :1]).astype(np.int32)).camera is None


def test_a_large_detector_is_known_by_some_of_its_pixels():
    crop = (10, 300, 0, 256)
    pixels = _some_pixels((320, 256), crop)
    assert len(pixels) == len(set(pixels)) == CAMERA_PIXELS
    row, column = np.divmod(pixels, 256)
    assert (row.min(), row.max()) == (10, 299)
    assert np.bincount(column, minlength=256).min() > 20
    assert len(_some_pixels((320, 256), (0, 20, 0, 30))) == 600
