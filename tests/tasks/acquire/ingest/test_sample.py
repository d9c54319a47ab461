import numpy as np
import pytest

from orimap.tasks.acquire.ingest.defects.correction import Correction
from orimap.tasks.acquire.ingest.sample import LEAST_SHIFT, SAMPLE_PATTERNS, Sample
from orimap.tasks.acquire.open_acquisition import open_acquisition

SCAN, DETECTOR = (10, 12), (40, 44)


@pytest.fixture
def sampled(tmp_path):
    """What a scan tells, all of it or a part."""

    def sample(scan, roi=None, crop=None, bin=1, correction=None):
        np.save(tmp_path / "scan.npy", scan)
        acquisition = open_acquisition(tmp_path / "scan.npy")
        roi = roi or (0, scan.shape[0], 0, scan.shape[1])
        crop = crop or (0, scan.shape[2], 0, scan.shape[3])
        return Sample.of(acquisition, roi, crop, bin, correction)

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


def test_values_are_shifted_to_where_their_noise_is_that_of_counts(sampled, counts):
    rng = np.random.default_rng(1)
    dark = 9.0 * counts + 50 + rng.normal(0, 14, counts.shape)
    found = sampled(np.rint(dark).astype(np.int32))
    assert found.shift == pytest.approx(14**2 / 9 - 50, abs=4 * found.camera.shift_error)
    assert found.pedestal == pytest.approx(found.shift + found.camera.offset)
    # Without its zero, which no beam is above.
    assert found.mean.min() < 3
    assert found.attributes["intensity_dispersion"] == found.camera.gain
    plain = sampled(counts)
    assert abs(plain.camera.shift) < LEAST_SHIFT
    assert (plain.shift, plain.pedestal) == (0, 0)


def test_the_camera_is_measured_of_what_is_corrected(sampled, counts):
    rng = np.random.default_rng(1)
    dark = np.linspace(300, 500, DETECTOR[1]) * np.ones(DETECTOR)
    unit = np.where(np.arange(DETECTOR[1]) < 20, 0.5, 1.5) * np.ones(DETECTOR)
    unit[3, 3] = np.nan
    seen = np.rint(9 * unit * counts + dark + rng.normal(0, 4, counts.shape))
    seen = np.nan_to_num(seen).astype(np.int32)
    correction = Correction(dark.astype(np.float32), (9 * unit).astype(np.float32), True)
    found = sampled(seen, correction=correction)
    assert found.camera.gain == pytest.approx(1, rel=0.15)
    assert found.camera.offset == pytest.approx(0, abs=0.2)
    np.testing.assert_allclose(found.mean, sampled(counts).mean, atol=0.8)
    # The gain map is blind there.
    assert np.argwhere(found.flags.flagged).tolist() == [[3, 3]]


def test_a_stretched_contrast_has_no_gain_that_anything_is_measured_by(sampled, counts):
    rng = np.random.default_rng(1)
    assert sampled(counts).gain == pytest.approx(1, rel=0.1)
    seen = np.clip(0.5 * counts + 3 + rng.normal(0, 1.2, counts.shape), 0, 255)
    found = sampled(np.rint(255 * (seen / 255) ** 0.4).astype(np.uint8))
    assert not found.camera.is_linear
    assert (found.gain, found.shift, found.pedestal) == (1, 0, 0)
