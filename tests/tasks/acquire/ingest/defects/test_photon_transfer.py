import numpy as np
import pytest

from orimap.tasks.acquire.ingest.defects import photon_transfer as module
from orimap.tasks.acquire.ingest.defects.photon_transfer import FEWEST, REACH, photon_transfer
from orimap.tasks.store import variables as v


def test_counts_have_a_variance_equal_to_their_mean_in_every_group(electrons, every):
    curve = photon_transfer(*electrons().astype(np.float32), every)
    assert np.all(np.diff(curve.mean) >= 0)
    for found, error in (
        (curve.variance, curve.variance_error),
        (curve.whole, curve.whole_error),
        (curve.third, curve.third_error),
    ):
        off = (found - curve.mean) / error
        assert np.abs(np.mean(off)) < 1
        assert np.sqrt(np.mean(off**2)) < 2.5
    # Neither rows nor columns share anything.
    assert curve.striped < 0.05 * curve.variance[0]


def test_what_pixels_share_is_in_the_whole_variance_only(electrons, through, every):
    seen = through(electrons(), gain=9, blur=0.6)
    curve = photon_transfer(*seen.astype(np.float32), every)
    bright = curve.mean > np.median(curve.mean)
    # Of a kernel that sums to 1, the sum of squares stays in one pixel.
    kernel = np.zeros((15, 15))
    kernel[7, 7] = 1
    kernel = through(kernel[None], blur=0.6)[0]
    alone = (kernel**2).sum()
    ratio = np.median(curve.variance[bright] / curve.mean[bright])
    assert ratio == pytest.approx(9 * alone, rel=0.1)
    assert np.median(curve.whole[bright] / curve.mean[bright]) == pytest.approx(9, rel=0.1)


def test_a_pattern_of_the_camera_itself_puts_no_pixel_into_another_group(electrons, through, every):
    plain = photon_transfer(*through(electrons(), 9, 0, 14).astype(np.float32), every)
    fixed = photon_transfer(*through(electrons(), 9, 0, 14, fixed=20).astype(np.float32), every)
    # An order by the pixels themselves would spread the dim groups over the 20 it adds.
    dim = slice(0, len(plain.mean) // 3)
    assert np.ptp(fixed.mean[dim]) < np.ptp(plain.mean[dim]) + 5
    np.testing.assert_allclose(fixed.variance[dim], plain.variance[dim], rtol=0.12)


def test_noise_of_whole_rows_is_told_apart(electrons, through, every):
    seen = through(electrons(0.1), 1, 0, 3)
    rows = 2 * np.random.default_rng(5).standard_normal((*seen.shape[:-1], 1))
    curve = photon_transfer(*(seen + rows).astype(np.float32), every)
    assert curve.striped == pytest.approx(2 * REACH * 4, rel=0.15)


def test_patterns_across_a_grain_boundary_are_left_out(electrons, every):
    before, middle, after = electrons().astype(np.float32)
    after[:30] = after[:30, ..., ::-1]
    curve = photon_transfer(before, middle, after, every)
    off = (curve.variance - curve.mean) / curve.variance_error
    assert np.sqrt(np.mean(off**2)) < 2.5


def test_pixels_beside_those_that_are_not_believed_are_left_out(electrons, every):
    three = electrons().astype(np.float32)
    # Noise of its own, which its neighbours would take part in.
    three[..., 30, 30] = 1e4 * np.random.default_rng(0).random(three.shape[:-2])
    measured = every.copy()
    measured[0, 30, 30] = False
    curve = photon_transfer(*three, measured)
    assert np.all(curve.variance < 3 * curve.mean + 1)


def test_too_little_gives_no_curve(electrons, every):
    three = electrons().astype(np.float32)
    assert photon_transfer(*three[:, : FEWEST - 1], every) is None
    assert photon_transfer(*three[..., :5, :5], every[:, :5, :5]) is None
    assert photon_transfer(*three, np.zeros_like(every)) is None


def test_sums_over_a_box_are_those_of_its_pixels():
    image = np.random.default_rng(0).random((2, 9, 11))
    found = module._box(image)
    assert found.shape == (2, 5, 7)
    assert found[1, 2, 3] == pytest.approx(image[1, 2:7, 3:8].sum())


def test_what_is_stored_is_declared(electrons, every):
    stored = photon_transfer(*electrons().astype(np.float32), every).variables
    assert set(stored) == {
        name for name in v.ACQUISITION.variables if name.startswith("brightness")
    }
    assert all(one.dims == ("brightness",) for one in stored.values())
