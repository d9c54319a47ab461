import numpy as np
import pytest

from orimap.tasks.acquire.ingest.defects.camera import TOO_FEW
from orimap.tasks.acquire.ingest.defects.correction import NO_CORRECTION, Correction
from orimap.tasks.acquire.ingest.sample import (
    LEAST_SHIFT,
    SAMPLE_PATTERNS,
    Sample,
    beyond_any_detector,
)
from orimap.tasks.acquire.open_acquisition import open_acquisition

SCAN, DETECTOR = (10, 12), (40, 44)


@pytest.fixture
def sampled(tmp_path):
    """What a scan tells, all of it or a part."""

    def sample(scan, roi=None, crop=None, bin=1, correction=NO_CORRECTION):
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
    narrow = sampled(np.rint(camera[:, :1]).astype(np.int32))
    assert narrow.camera is None
    assert narrow.attributes == {"camera_unknown": TOO_FEW}


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


def test_what_was_given_of_the_camera_holds_and_is_doubted_where_the_noise_disagrees(
    sampled, counts
):
    shape = counts.shape[2:]
    right = Correction(np.full(shape, 400, np.float32), None, False, zero_from="--offset 400")
    seen = 9.0 * counts + 400 + np.random.default_rng(1).normal(0, 14, counts.shape)
    seen = np.rint(seen).astype(np.int32)
    fits = sampled(seen, correction=right)
    assert (fits.offset, fits.doubts) == (0, [])
    assert fits.pedestal == pytest.approx(14**2 / 9, rel=0.2)
    wrong = Correction(np.full(shape, 5000, np.float32), None, False, zero_from="--dark far.npy")
    off = sampled(seen, correction=wrong)
    assert (off.offset, off.pedestal) == (0, off.shift)
    (doubt,) = off.doubts
    assert doubt.startswith(
        "--dark far.npy was subtracted, although zero then lies, judging by the noise, at"
    )
    assert float(doubt.split(" at ")[1].split(" ±")[0]) == pytest.approx(-4600, abs=5)


def test_a_gain_that_is_given_is_doubted_where_the_noise_is_far_from_it(sampled, counts):
    unit = np.ones(DETECTOR, np.float32)
    for gain, doubts in ((1, 0), (2, 0), (60, 1)):
        found = sampled(counts, correction=Correction(None, gain * unit, True))
        assert found.camera.gain == pytest.approx(1 / gain, rel=0.1)
        assert len(found.doubts) == doubts
    narrow = sampled(counts[:, :1], correction=Correction(None, 60 * unit, True))
    # Its noise is not measured: that of the electrons it was said to be.
    assert narrow.attributes == {"camera_unknown": TOO_FEW, "intensity_dispersion": 1.0}


def test_patterns_beyond_what_a_detector_spans_set_no_scale(sampled, counts):
    plain = sampled(counts.astype(np.float64))
    assert beyond_any_detector({(0, 0): 1.0, (0, 1): 2.0**34, (1, 0): 2.0, (1, 1): 0.0}) == {(0, 1)}
    assert beyond_any_detector({}) == frozenset()
    bright = counts.astype(np.float64)
    bright[::3, ::3] = 1e300
    found = sampled(bright)
    assert found.exponent == plain.exponent == 0
    assert found.mean.max() == pytest.approx(plain.mean.max(), rel=0.1)
    assert found.camera.gain == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("gain", "noise", "kind", "expected"),
    [(1, 0, "u2", True), (1, 0, "f4", True), (9, 14, "i4", False)],
)
def test_a_unit_is_an_electron_where_the_noise_says_so(
    sampled, counts, gain, noise, kind, expected
):
    seen = gain * counts + np.random.default_rng(1).normal(0, noise, counts.shape)
    assert sampled(np.rint(seen).astype(kind)).in_electrons is expected
    # Where it does not tell, whole numbers are taken for counts.
    narrow = sampled(np.rint(seen[:, :1]).astype(kind))
    assert narrow.in_electrons is (kind != "f4")


def test_rows_that_were_never_written_and_hold_a_huge_number_are_left_out(sampled, counts):
    written = sampled(counts.astype(np.float32)[:7])
    stopped = counts.astype(np.float32)
    stopped[7:] = 9.96921e36
    found = sampled(stopped)
    assert found.patterns == 6 * 8  # of 8 rows with 8 patterns each, 6 were written
    assert found.mean.max() == pytest.approx(written.mean.max(), rel=0.1)
    assert found.camera.gain == pytest.approx(1, rel=0.1)


def test_a_scan_without_any_number_says_so(sampled, counts):
    empty = np.full_like(counts, np.nan, dtype=np.float32)
    found = sampled(empty)
    assert found.without_number == found.patterns == SAMPLE_PATTERNS
