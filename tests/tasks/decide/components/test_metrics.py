import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.decide.components import metrics
from orimap.tasks.errors import InputError

REFERENCE = Path(__file__).parent / "reference"


def _load_images():
    spec = importlib.util.spec_from_file_location("metric_images", REFERENCE / "metric_images.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


image_pair = _load_images().image_pair
CASES = json.loads((REFERENCE / "metrics_piq.json").read_text())


def _name(case):
    return f"{case['kind']}-{case['shape'][0]}x{case['shape'][1]}"


def _is_slow(case):
    """Whether a case is of a large image, of which others are there too."""
    return min(case["shape"]) > 500 and case["kind"] not in ("pattern", "faint")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=_name(case), marks=[pytest.mark.slow] if _is_slow(case) else [])
        for case in CASES
    ],
)
def test_metrics_equal_those_of_piq(case):
    a, b = image_pair(case["kind"], tuple(case["shape"]))
    found = {name: getattr(metrics, name)(a, b) for name in metrics.METRICS}
    found["mdsi_swapped"] = metrics.mdsi(b, a)
    # 1e-5 is what comparing with published numbers asks for; rounding alone stays below 1e-10.
    assert found == pytest.approx({name: case[name] for name in found}, abs=1e-5, rel=0)


def test_ssim_equals_scikit_image_where_nothing_is_pooled():
    from skimage.metrics import structural_similarity

    a, b = image_pair("similar", (97, 128))
    expected = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
    )
    assert metrics.ssim(a, b) == pytest.approx(expected, abs=1e-12)


def test_identical_images_reach_the_ends_of_the_scales():
    a, _ = image_pair("pattern", (60, 70))
    assert metrics.ssim(a, a) == pytest.approx(1, abs=1e-12)
    assert metrics.gmsd(a, a) == 0
    assert metrics.mdsi(a, a) == 0
    assert metrics.psnr(a, a) == pytest.approx(80)


def test_psnr_of_a_known_difference():
    assert metrics.psnr(np.zeros((4, 4)), np.full((4, 4), 0.1)) == pytest.approx(20, abs=1e-5)


@pytest.mark.parametrize("shape", [(96, 97), (300, 400), (9, 9)])
def test_pairs_equal_the_plain_functions(shape):
    images = np.stack([*image_pair("pattern", shape), *image_pair("similar", shape)])
    scale = np.array([1, 7, 0.2, 100])[:, None, None]  # the scale of a component is arbitrary
    table = metrics.pair_metrics(images * scale)
    images /= images.max(axis=(1, 2), keepdims=True)
    for name in metrics.METRICS:
        assert table[name].shape == (4, 4)
        for i in range(4):
            for j in range(4):
                if name == "ssim" and shape == (9, 9):
                    assert np.isnan(table[name][i, j])
                else:
                    plain = getattr(metrics, name)(images[i], images[j])
                    # Scaling to unit maximum rounds; the fourth root of MDSI magnifies that.
                    assert table[name][i, j] == pytest.approx(plain, abs=1e-6), (name, i, j)


def test_masked_pixels_and_empty_patterns_do_not_disturb_the_pairs():
    a, b = image_pair("pattern", (64, 64))
    mask = np.zeros((64, 64), bool)
    mask[10, 20] = True
    blank = np.where(mask, 0, [a, b])
    hot = np.where(mask, 1000, [a, b])
    expected = metrics.pair_metrics(blank)
    found = metrics.pair_metrics(hot, mask=mask)
    for name in metrics.METRICS:
        np.testing.assert_array_equal(found[name], expected[name])
    with_empty = metrics.pair_metrics(np.stack([a, 0 * a]))
    assert all(np.isfinite(values).all() for values in with_empty.values())


def test_fidelity_does_not_depend_on_the_dose():
    a, b = image_pair("pattern", (64, 80))
    found = metrics.fidelity(5000 * a, 3 * b)
    expected = {name: getattr(metrics, name)(a, b) for name in metrics.METRICS}
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((20, 20)), np.zeros((20, 21)), "one shape"),
        (np.zeros((20, 20)), np.full((20, 20), 2.0), "from 0 to 2"),
        (np.zeros((20, 20)), np.full((20, 20), np.nan), "between 0 and 1"),
        (np.zeros((10, 20)), np.zeros((10, 20)), "at least 11"),
    ],
)
def test_unsuitable_images_are_reported(a, b, message):
    with pytest.raises(InputError, match=message):
        metrics.ssim(a, b)


def test_a_mask_of_another_shape_is_reported():
    with pytest.raises(InputError, match="mask"):
        metrics.pair_metrics(np.ones((2, 20, 20)), mask=np.zeros((10, 10), bool))
