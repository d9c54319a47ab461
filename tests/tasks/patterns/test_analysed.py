import numpy as np
import pytest

from orimap.tasks.patterns.filters import analysed_dataset


@pytest.mark.parametrize("shape", [(4, 5), (3, 2), (1, 1)])
def test_mean_and_filling_match_numpy_whatever_the_blocks(
    one_worker, store_patterns, small_scan, shape
):
    mask = np.zeros((6, 7), np.uint8)
    mask[2, 3], mask[0] = 1, 16
    ds = analysed_dataset(one_worker, store_patterns(small_scan, shape), mask)
    used = small_scan[:, :, mask == 0]
    mean = small_scan.mean(axis=(0, 1))
    np.testing.assert_allclose(ds["detector_mean"], np.where(mask == 0, mean, 0), rtol=1e-6)
    np.testing.assert_array_equal(ds["detector_mask"], mask)
    assert ds.attrs["mean_intensity"] == pytest.approx(used.mean())
    assert ds.attrs["zero_fraction"] == pytest.approx(np.mean(used == 0))


def test_a_detector_that_is_masked_altogether_has_no_intensity(
    one_worker, store_patterns, small_scan
):
    ds = analysed_dataset(one_worker, store_patterns(small_scan), np.ones((6, 7), np.uint8))
    assert ds.attrs["mean_intensity"] == 0
    assert not ds["detector_mean"].values.any()
