import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store.groups import open_group
from orimap.tasks.view.virtual import Aperture, Approximate, Sample

SCAN, DETECTOR = (6, 7), (12, 13)


def grains(single=False):
    """Mean patterns of two grains side by side, and of a third at one position."""
    rng = np.random.default_rng(5)
    images = rng.gamma(0.5, 4.0, (3, *DETECTOR))
    images[2] *= np.arange(13) > 9  # what no other has to the right
    shares = np.zeros((*SCAN, 3))
    shares[:, :3, 0], shares[:, 3:, 1] = 1, 0.5
    if single:
        shares[2, 4] = [0, 0.5, 3]
    return np.tensordot(shares, images, axes=1)


@pytest.fixture
def beam():
    """The pixels of the direct beam, which the fit leaves out."""
    beam = np.zeros(DETECTOR, bool)
    beam[5:7, 6:8] = True
    return beam


@pytest.mark.parametrize(
    ("aperture", "inside"),
    [
        (Aperture("disc", 4, 5, 2), lambda r: r <= 2),
        (Aperture("disc", 4, 5, 2, inner=1.5), lambda r: r <= 2),  # a disc has no hole
        (Aperture("ring", 4, 5, 4.5, 2), lambda r: (r <= 4.5) & (r >= 2)),
    ],
)
def test_a_mask_holds_the_valid_pixels_whose_middle_is_inside(aperture, inside):
    valid = np.ones(DETECTOR, bool)
    valid[4, 6] = False
    expected = [
        [bool(inside(np.hypot(y - 4, x - 5))) and (y, x) != (4, 6) for x in range(13)]
        for y in range(12)
    ]
    np.testing.assert_array_equal(aperture.mask(valid), expected)


@pytest.mark.parametrize(
    "aperture",
    [
        Aperture("square", 4, 5, 2),
        Aperture("disc", np.nan, 5, 2),
        Aperture("disc", 4, 5, 0),
        Aperture("disc", 4, 5, -3),
        Aperture("disc", 40, 5, 2),
        Aperture("ring", 4, 5, 2, 3),
        Aperture("ring", 4, 5, 2, -1),
        Aperture("disc", 0, 0, 0.5),  # holds a masked pixel alone
    ],
)
def test_a_shape_that_holds_nothing_is_refused(aperture):
    valid = np.ones(DETECTOR, bool)
    valid[0, 0] = False
    with pytest.raises(InputError):
        aperture.mask(valid)


@pytest.mark.parametrize(
    "aperture",
    [Aperture("disc", 3, 3, 2.5), Aperture("disc", 5, 6, 4), Aperture("ring", 5, 6, 9, 3)],
)
def test_images_of_what_the_sketch_holds_are_exact_with_the_direct_beam(sketch_of, beam, aperture):
    patterns = grains()
    approximate = Approximate(open_group(sketch_of(patterns, beam), "sketch"))
    mask = aperture.mask(approximate.valid)
    # Single precision of 2 directions.
    np.testing.assert_allclose(approximate.image(mask), patterns[..., mask].sum(axis=-1), rtol=1e-5)


def test_masked_pixels_and_empty_positions_count_nothing(sketch_of, beam):
    patterns, valid = grains(), np.ones(DETECTOR, bool)
    patterns[3, 3] = 0
    valid[2, 2:5] = False
    approximate = Approximate(open_group(sketch_of(patterns, beam, valid), "sketch"), floor=0.25)
    np.testing.assert_array_equal(approximate.valid, valid)
    mask = Aperture("disc", 3, 3, 2.5).mask(valid)
    # What stands for the noise of read-out is taken off in every pixel.
    expected = patterns[..., mask].sum(axis=-1) - 0.25 * mask.sum()
    np.testing.assert_allclose(approximate.image(mask), expected, rtol=1e-5, atol=1e-4)


def test_a_grain_of_one_position_is_missing_in_the_quick_image(sketch_of, beam):
    patterns = grains(single=True)
    mask = Aperture("disc", 6, 11, 1.5).mask(np.ones(DETECTOR, bool))
    exact = patterns[..., mask].sum(axis=-1)
    quick = Approximate(open_group(sketch_of(patterns, beam, rank=2), "sketch")).image(mask)
    others = np.ones(SCAN, bool)
    others[2, 4] = False
    assert quick[2, 4] < 0.5 * exact[2, 4]
    assert np.abs(quick - exact)[others].max() < 0.2 * exact[2, 4]


def test_the_error_is_that_of_the_sample_and_as_large_as_counting_noise(
    sketch_of, beam, store_patterns
):
    mean = 20 * grains()
    counts = np.random.default_rng(1).poisson(mean).astype(np.uint16)
    source = store_patterns(counts, (3, 4))
    approximate = Approximate(open_group(sketch_of(counts, beam, rank=2), "sketch"))
    mask = Aperture("ring", 5, 6, 5, 2).mask(approximate.valid)
    image, exact = approximate.image(mask), counts[..., mask].sum(axis=-1)
    sample = Sample.read(source)
    # So small a scan is looked at as a whole.
    assert sorted(sample.numbers) == list(range(42))
    found = sample.deviation(image, mask, counts=True)
    expected = np.sqrt(np.mean((image - exact) ** 2) / np.mean(exact.astype(float) ** 2))
    assert found.relative == pytest.approx(expected, rel=1e-6)
    # 42 positions tell a standard deviation to 11 %; the sketch takes up a part of the noise.
    assert 0.5 < found.relative / found.noise < 1.4
    assert found.noise == pytest.approx(np.sqrt(exact.mean() / np.mean(exact.astype(float) ** 2)))
    assert np.isnan(sample.deviation(image, mask, counts=False).noise)


def test_a_sample_is_of_patterns_from_blocks_all_over_the_scan(store_patterns, monkeypatch):
    from orimap.tasks.view import virtual

    monkeypatch.setattr(virtual, "SAMPLE_BLOCKS", 5)
    monkeypatch.setattr(virtual, "SAMPLE_PATTERNS", 10)
    counts = np.random.default_rng(1).poisson(0.1, (8, 12, *DETECTOR)).astype(np.uint16)
    source = store_patterns(counts, (2, 3))
    sample = Sample.read(PatternSource.open(source.store, "raw"))
    assert len(sample.numbers) == 10
    assert len({(n // 12 // 2, n % 12 // 3) for n in sample.numbers}) == 5
    mask = np.ones(DETECTOR, bool)
    exact = counts.sum(axis=(2, 3)).astype(float)
    assert sample.deviation(exact, mask, counts=True).relative == 0
