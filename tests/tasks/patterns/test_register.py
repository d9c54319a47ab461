import numpy as np
import pytest

from orimap.tasks.patterns import register
from orimap.tasks.patterns.reflections.encode import Encoder, encode_patterns
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.register import reflection_radius, sample_positions
from orimap.tasks.patterns.rows import as_rows

SCAN, DETECTOR = (4, 5), (44, 50)


@pytest.fixture(scope="module")
def scan():
    """Counts of patterns with a direct beam and one disc that wanders with the position."""
    rng = np.random.default_rng(5)
    rows, columns = np.indices(DETECTOR)
    mean = np.full((*SCAN, *DETECTOR), 0.05)
    for y, x in np.ndindex(SCAN):
        for at, height in (((30, 33), 40), ((16 + y, 12 + 2 * x), 12)):
            mean[y, x] += height * (np.hypot(rows - at[0], columns - at[1]) <= 2)
    return rng.poisson(mean).astype(np.uint16)


@pytest.fixture(scope="module")
def encoder():
    valid = np.ones(DETECTOR, bool)
    valid[3, 4] = valid[20, 20:22] = False
    return Encoder(Lengths.of_disc(2), valid, counts=True)


BEAM = np.broadcast_to([30.0, 33.0], (*SCAN, 2))


def assert_same(one, other):
    for name, values in vars(one).items():
        np.testing.assert_array_equal(getattr(other, name), values, err_msg=name)


@pytest.mark.parametrize("block", [(4, 5), (3, 2), (1, 1)])
def test_blocks_do_not_change_the_list(scan, encoder, store_patterns, one_worker, block):
    found = register.register_scan(one_worker, store_patterns(scan, block), encoder, BEAM)
    flat = scan.reshape(-1, *DETECTOR)
    assert len(found) == 1
    assert_same(encode_patterns(flat, encoder, BEAM.reshape(-1, 2)), found[0])
    # The disc that wanders is the second brightest: it tells which pattern the list is of.
    second = found[0].offsets[:-1] + 1
    y, x = np.indices(SCAN).reshape(2, -1)
    np.testing.assert_allclose(found[0].y[second], 16 + y, atol=0.5)
    np.testing.assert_allclose(found[0].x[second], 12 + 2 * x, atol=0.5)


def test_the_place_of_the_beam_goes_with_its_pattern(
    scan, encoder, store_patterns, one_worker, monkeypatch
):
    def beams_only(patterns, _encoder, beam):
        n, ones = len(patterns), np.ones(len(patterns), np.float32)
        brightness = patterns.reshape(n, -1).sum(1).astype(np.float32)
        return Reflections(
            np.arange(n + 1), *beam.T.astype(np.float32), brightness, ones,
            np.zeros(n, np.int32), ones, ones,
        )  # fmt: skip

    monkeypatch.setattr(register, "encode_patterns", beams_only)
    beam = np.random.default_rng(0).uniform(0, 40, (*SCAN, 2)).astype(np.float32)
    (found,) = register.register_scan(one_worker, store_patterns(scan, (3, 2)), encoder, beam)
    np.testing.assert_array_equal(found.y, beam[..., 0].ravel())
    np.testing.assert_array_equal(found.x, beam[..., 1].ravel())
    np.testing.assert_array_equal(found.intensity, scan.sum((2, 3)).ravel())


@pytest.mark.parametrize("batch_pixels", [1, 3 * 44 * 50, 2**21])
@pytest.mark.parametrize("block", [(4, 5), (3, 2)])
def test_halves_are_those_that_raw_patterns_are_split_into(
    scan, encoder, store_patterns, one_worker, monkeypatch, block, batch_pixels
):
    monkeypatch.setattr(register, "BATCH_PIXELS", batch_pixels)
    source = store_patterns(scan, block)
    lists = register.register_scan(one_worker, source, encoder, BEAM, halves=True, seed=3)
    assert len(lists) == 3
    whole = next(iter(store_patterns(scan).blocks()))
    rows = store_patterns(scan).halves(whole, encoder.valid, 3)
    for found, half in zip(lists[1:], rows, strict=True):
        images = register.as_images(half, encoder.valid)
        assert_same(encode_patterns(images, encoder, BEAM.reshape(-1, 2)), found)


def test_halves_together_hold_all_intensity(scan, encoder, store_patterns, one_worker):
    whole, *halves = register.register_scan(
        one_worker, store_patterns(scan), encoder, BEAM, halves=True
    )
    direct = [found.intensity[found.direct_entries] for found in (whole, *halves)]
    # The heights are fits: they add up as counts do but for small differences of position.
    np.testing.assert_allclose(direct[1] + direct[2], direct[0], rtol=0.03)


def test_progress_tells_blocks(scan, encoder, store_patterns, one_worker):
    told = []
    register.register_scan(
        one_worker, store_patterns(scan, (2, 5)), encoder, BEAM,
        progress=lambda *state: told.append(state),
    )  # fmt: skip
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("filled", [0.05, 0.9])
def test_images_of_rows_are_dark_where_pixels_are_not_valid(filled, encoder):
    rng = np.random.default_rng(0)
    values = np.where(rng.random((6, *DETECTOR)) < filled, 7, 0).astype(np.uint16)
    images = register.as_images(as_rows(values, encoder.valid), encoder.valid)
    np.testing.assert_array_equal(images, np.where(encoder.valid, values, 0))


def test_a_failing_pattern_stops_the_scan(scan, encoder, store_patterns, one_worker, monkeypatch):
    def broken(*_args):
        raise RuntimeError("this pattern cannot be encoded")

    monkeypatch.setattr(register, "encode_patterns", broken)
    with pytest.raises(RuntimeError, match="cannot be encoded"):
        register.register_scan(one_worker, store_patterns(scan), encoder, BEAM)


SIDE = 96


def patterns_of(reflection_px, direct_px, count=16):
    """Flat background, a direct beam in the middle, six reflections; Poisson counts."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIDE, :SIDE]
    patterns = np.zeros((count, SIDE, SIDE))

    def disc(place, radius):
        return np.clip(radius + 0.5 - np.hypot(y - place[0], x - place[1]), 0, 1)

    for pattern in patterns:
        mean = 0.05 + 20 * disc((47.5, 47.5), direct_px)
        for angle in np.arange(6) * np.pi / 3 + rng.uniform(0, 1):
            place = 47.5 + 32 * np.array([np.sin(angle), np.cos(angle)])
            mean = mean + 5 * disc(place, reflection_px)
        pattern[:] = rng.poisson(mean)
    return patterns


@pytest.mark.parametrize(("reflection_px", "direct_px"), [(2.5, 5.0), (3.5, 6.0)])
def test_reflections_smaller_than_the_direct_beam_are_measured(reflection_px, direct_px):
    patterns = patterns_of(reflection_px, direct_px)
    beam = np.full((len(patterns), 2), 47.5)
    radius = reflection_radius(patterns, beam, np.ones((SIDE, SIDE), bool), direct_px, counts=True)
    # Positions found with a disc of the wrong size are off by some tenths of a pixel.
    assert radius == pytest.approx(reflection_px, abs=0.4)


def test_the_direct_beam_is_believed_where_reflections_agree_or_are_few():
    beam, valid = np.full((16, 2), 47.5), np.ones((SIDE, SIDE), bool)
    assert reflection_radius(patterns_of(3.0, 3.0), beam, valid, 3.0, counts=True) == 3.0
    empty = np.zeros((16, SIDE, SIDE))
    assert reflection_radius(empty, beam, valid, 3.0, counts=True) == 3.0


def test_the_sample_is_spread_over_the_scan():
    numbers = sample_positions((40, 30))
    assert len(numbers) == 64
    assert numbers.min() == 0
    assert numbers.max() == 1199
    np.testing.assert_array_equal(sample_positions((2, 3)), range(6))
