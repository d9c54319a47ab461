import numpy as np
import pytest

from orimap.tasks.acquire.ingest.defects.camera import FEWEST_PAIRS, measure_camera

PIXELS = 6000


def electrons(pairs=64, seed=0, changing=0):
    """Pairs of patterns, a few electrons in most pixels and many in some; mean of each pixel."""
    rng = np.random.default_rng(seed)
    mean = np.concatenate([rng.exponential(0.3, PIXELS - 600), rng.uniform(2, 60, 600)])
    means = np.stack([mean * rng.uniform(0.8, 1.2) for _ in range(pairs)])
    second = means.copy()
    # Another grain begins between the two patterns of some pairs.
    second[:changing, -600:] = means[:changing, -600:][:, ::-1]
    return rng.poisson(means), rng.poisson(second)


def through(counts, gain, offset, noise, seed=1):
    rng = np.random.default_rng(seed)
    return [gain * one + offset + noise * rng.standard_normal(one.shape) for one in counts]


@pytest.mark.parametrize(
    ("gain", "offset", "noise"),
    [(9.0, 0.0, 14.0), (9.0, 100.0, 14.0), (4.0, 400.0, 6.0), (2.5, 30.0, 1.0), (0.55, 3.0, 0.6)],
)
def test_gain_offset_and_noise_of_a_camera_are_found(gain, offset, noise):
    camera = measure_camera(*through(electrons(), gain, offset, noise))
    assert camera.gain == pytest.approx(gain, rel=0.05)
    assert camera.offset == pytest.approx(offset, abs=0.2 * noise)
    assert camera.read_noise == pytest.approx(noise, rel=0.1)


def test_errors_are_of_the_size_of_what_is_missed():
    missed = []
    for seed in range(12):
        found = measure_camera(*through(electrons(seed=seed), 9, 100, 14, seed))
        missed.append([
            (found.gain - 9) / found.gain_error,
            (found.offset - 100) / found.offset_error,
            (found.read_noise - 14) / found.read_noise_error,
        ])  # fmt: skip
    spread = np.sqrt(np.mean(np.square(missed), axis=0))
    assert np.all((spread > 0.2) & (spread < 3))


def test_counts_have_a_gain_of_one_and_nothing_else():
    camera = measure_camera(*electrons())
    assert camera.gain == pytest.approx(1, rel=0.05)
    assert camera.offset == pytest.approx(0, abs=0.02)
    assert camera.read_noise < 0.1


def test_pairs_in_two_grains_and_saturated_pixels_tell_nothing_of_noise():
    first, second = through(electrons(changing=12), 9, 100, 14)
    for one in (first, second):
        one[:, -3:] = 65535
    camera = measure_camera(first, second)
    assert camera.gain == pytest.approx(9, rel=0.05)
    assert camera.read_noise == pytest.approx(14, rel=0.1)


def test_what_does_not_tell_is_not_guessed():
    counts = electrons()
    assert measure_camera(*(one[: FEWEST_PAIRS - 1] for one in counts)) is None
    assert measure_camera(*(one[:, :20] for one in counts)) is None
    same = np.ones((64, PIXELS))
    assert measure_camera(same, same) is None
    # Nothing but read-out noise has no gain that could be known.
    rng = np.random.default_rng(0)
    dark = [rng.normal(400, 6, (64, PIXELS)) for _ in range(2)]
    camera = measure_camera(*dark)
    assert camera is None or camera.gain_error > 0.05 * camera.gain


def test_values_that_are_not_numbers_count_as_nothing():
    first, second = through(electrons(), 9, 0, 14)
    first[:, 5] = second[:, 5] = np.nan
    assert measure_camera(first, second).gain == pytest.approx(9, rel=0.05)
