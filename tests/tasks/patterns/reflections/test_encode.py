import pickle

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.reflections.encode import Encoder, encode_patterns
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.simulate.grains import draw_disks

UNKNOWN = np.full((1, 2), np.nan)
RADIUS = 3.0


def encoder(shape, *, radius=RADIUS, counts=True, **options):
    return Encoder(Lengths.of_disc(radius), np.ones(shape, bool), counts, **options)


def mean_pattern(side, positions, electrons, *, radius=RADIUS, background=0.05):
    discs = draw_disks(np.array(positions) - (side - 1) / 2, radius, (side, side))
    return background + (discs.T @ np.array(electrons, float)).reshape(side, side)


def simulate(seed, side=128, dose=5000, spots=40, radius=RADIUS):
    """Positions, electrons and counts; the first is the direct beam."""
    rng = np.random.default_rng(seed)
    positions = [(side - 1) / 2 + rng.uniform(-1.5, 1.5, 2)]
    while len(positions) < spots + 1:
        trial = rng.uniform(radius + 1, side - 2 - radius, 2)
        if min(np.hypot(*(trial - p)) for p in positions) > 1.85 * radius:
            positions.append(trial)
    strength = 60.0 ** rng.uniform(0, 1, spots)
    electrons = dose * np.concatenate([[0.35], 0.35 * strength / strength.sum()])
    y, x = np.indices((side, side))
    squared = (y - positions[0][0]) ** 2 + (x - positions[0][1]) ** 2
    background = (1 + squared / (0.09 * side) ** 2) ** -1.5
    background *= 0.3 * dose / background.sum()
    counts = rng.poisson(mean_pattern(side, positions, electrons, radius=radius, background=0))
    return np.array(positions), electrons, counts + rng.poisson(background)


def nearest(found, y, x):
    """Distance of each true position to the nearest registered one."""
    return np.hypot(found.y[:, None] - y, found.x[:, None] - x).min(axis=0)


def test_worked_positions_heights_and_order():
    positions = [(30.3, 33.6), (12.4, 50.0), (47.8, 14.1)]
    pattern = mean_pattern(64, positions, [2827, 283, 848], background=0.5)
    found = encode_patterns(pattern[None], encoder(pattern.shape), UNKNOWN)
    assert found.counts.tolist() == [3]
    np.testing.assert_allclose(found.y, [30.3, 47.8, 12.4], atol=0.05)
    np.testing.assert_allclose(found.x, [33.6, 14.1, 50.0], atol=0.05)
    # A disc of 3 px covers 28.3 pixels.
    np.testing.assert_allclose(found.intensity, [100, 30, 10], rtol=0.03)
    # The mean over a disc centred on the nearest pixel falls a little short of the peak.
    assert np.all(found.prominence <= found.intensity)
    assert np.all(found.prominence >= 0.8 * found.intensity)
    assert found.direct.tolist() == [0]
    np.testing.assert_allclose(found.noise, 0, atol=1e-6)
    # sqrt(2 ln(.035 × 64² × 3^-.4)) standard deviations.
    assert found.threshold[0] == pytest.approx(3.009, abs=0.001)


def test_recall_precision_and_position_on_simulated_patterns():
    errors, seen, there, right, found_all = [], 0, 0, 0, 0
    for seed in range(20):
        positions, electrons, counts = simulate(seed)
        found = encode_patterns(counts[None], encoder(counts.shape), UNKNOWN)
        distance = np.hypot(found.y[:, None] - positions[:, 0], found.x[:, None] - positions[:, 1])
        counted = electrons[1:] >= 30
        seen += (distance[:, 1:].min(axis=0)[counted] <= RADIUS).sum()
        there += counted.sum()
        right += (distance.min(axis=1) <= RADIUS).sum()
        found_all += len(found.y)
        errors += list(zip(electrons[1:], distance[:, 1:].min(axis=0), strict=True))
        assert np.hypot(*(positions[0] - [found.y[0], found.x[0]])) < 0.1
        assert found.direct[0] == 0
    assert seen / there >= 0.95
    assert right / found_all >= 0.95
    electrons, error = np.array(errors).T
    # A maximum-likelihood fit that knows everything else reaches .21, .15 and .10 px.
    for low, high, fit in ((20, 45, 0.21), (45, 90, 0.15), (90, 180, 0.10)):
        assert np.median(error[(electrons >= low) & (electrons < high)]) <= 1.3 * fit


def test_heights_of_weak_reflections_are_unbiased():
    rng = np.random.default_rng(3)
    mean = mean_pattern(96, [(47.5, 47.5), (20.3, 70.6)], [1500, 60], background=0.1)
    patterns = rng.poisson(mean, (60, 96, 96))
    found = encode_patterns(patterns, encoder(mean.shape), np.full((60, 2), np.nan))
    near = np.hypot(found.y - 20.3, found.x - 70.6) < 2
    assert near.sum() == 60
    # 60 electrons on 28.3 pixels; the mean of 60 draws is known to 2 %.
    assert found.intensity[near].mean() == pytest.approx(60 / 28.3, rel=0.05)
    assert found.intensity[near].std() == pytest.approx(np.sqrt(63) / 28.3, rel=0.35)


def test_touching_discs_are_told_apart_and_a_broad_one_is_not():
    positions = [(40.0, 40.0), (40.5, 46.0), (70.0, 30.0)]
    mean = mean_pattern(96, [*positions, (47.0, 70.0)], [400, 100, 5000, 900], background=0.1)
    found = encode_patterns(
        np.random.default_rng(1).poisson(mean)[None], encoder(mean.shape), UNKNOWN
    )
    assert nearest(found, 40.5, 46.0)[0] < 0.5
    # Beside the four, what noise shows: none near one of them.
    for y, x in ((40.0, 40.0), (70.0, 30.0), (47.0, 70.0)):
        assert (np.hypot(found.y - y, found.x - x) < 1.7 * RADIUS).sum() == 1
    big = mean_pattern(96, [(47.0, 47.0)], [40000], radius=8.0, background=0.1)
    found = encode_patterns(
        np.random.default_rng(1).poisson(big)[None], encoder(big.shape, radius=8.0), UNKNOWN
    )
    assert found.counts.tolist() == [1]


def test_moving_a_pattern_by_whole_pixels_moves_the_list():
    _, _, counts = simulate(1, side=96, spots=15)
    wide = np.pad(counts, 12)
    beam = np.array([[59.5, 59.5]])
    found = encode_patterns(wide[None], encoder(wide.shape), beam)
    moved = np.roll(wide, (6, -4), (0, 1))
    other = encode_patterns(moved[None], encoder(wide.shape), beam + np.array([6, -4]))
    strong = found.intensity > 0.7
    # Cells of the background fall elsewhere, which weak reflections notice.
    assert np.all(nearest(other, found.y[strong] + 6, found.x[strong] - 4) < 0.1)


def test_transposing_a_pattern_transposes_the_list():
    _, _, counts = simulate(2, side=90, spots=20)
    found = encode_patterns(counts[None], encoder(counts.shape), UNKNOWN)
    other = encode_patterns(counts.T[None], encoder(counts.shape), UNKNOWN)
    strong = found.intensity > 0.7
    assert np.all(nearest(other, found.x[strong], found.y[strong]) < 0.1)


def test_a_chunk_gives_what_its_patterns_give():
    patterns = np.stack([simulate(seed, side=64, spots=8)[2] for seed in range(4)])
    beam = np.array([[31.5, 31.5], [np.nan, np.nan], [31.0, 32.0], [31.5, 31.5]])
    settings = pickle.loads(pickle.dumps(encoder((64, 64))))
    whole = encode_patterns(patterns, settings, beam)
    parts = Reflections.join(
        [encode_patterns(patterns[i : i + 1], settings, beam[i : i + 1]) for i in range(4)]
    )
    for name in ("offsets", "y", "x", "intensity", "prominence", "direct", "noise", "threshold"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


@pytest.mark.parametrize("dtype", [">u2", "uint8", "int32", "float64"])
def test_any_type_gives_the_same_list(dtype):
    _, _, counts = simulate(5, side=64, spots=8)
    counts = np.minimum(counts, 255)
    expected = encode_patterns(counts[None], encoder(counts.shape), UNKNOWN)
    found = encode_patterns(counts.astype(dtype)[None], encoder(counts.shape), UNKNOWN)
    np.testing.assert_array_equal(found.y, expected.y)
    np.testing.assert_array_equal(found.intensity, expected.intensity)


def test_negative_and_not_finite_values_count_as_nothing():
    _, _, counts = simulate(5, side=64, spots=8)
    image = counts.astype(float)
    empty = np.flatnonzero(counts == 0)[:40]
    image.ravel()[empty] = np.tile([np.nan, -5.0, -np.inf, np.inf], 10)
    found = encode_patterns(image[None], encoder(counts.shape), UNKNOWN)
    expected = encode_patterns(counts[None], encoder(counts.shape), UNKNOWN)
    np.testing.assert_array_equal(found.y, expected.y)


def test_no_reflection_is_registered_on_masked_pixels():
    pattern = mean_pattern(64, [(31.5, 31.5), (15.0, 45.0)], [900, 300], background=0.2)
    counts = np.random.default_rng(1).poisson(pattern)
    valid = np.ones(counts.shape, bool)
    hot = [(50, 12), (8, 20)]
    for place in hot:
        counts[place] = 5000
        valid[place] = False
    valid[20:44, 20:44] = False  # a beam stop
    settings = Encoder(Lengths.of_disc(RADIUS), valid, True)
    for beam in (UNKNOWN, np.array([[31.5, 31.5]])):
        found = encode_patterns(counts[None], settings, beam)
        assert found.counts.tolist() == [1]
        assert np.hypot(found.y[0] - 15, found.x[0] - 45) < 0.5
        assert found.direct.tolist() == [-1]


def test_the_direct_beam_is_the_nearest_to_where_it_is_expected():
    positions = [(31.5, 31.5), (31.0, 44.0), (12.0, 20.0)]
    pattern = mean_pattern(64, positions, [300, 3000, 600], background=0.2)
    settings = encoder(pattern.shape)
    for beam, direct in (((31.0, 31.0), 2), ((30.0, 43.0), 0), ((55.0, 55.0), -1)):
        found = encode_patterns(pattern[None], settings, np.array([beam]))
        assert found.direct.tolist() == [direct]


def test_nothing_else_is_registered_on_a_direct_beam_broader_than_the_discs():
    wide = mean_pattern(96, [(47.0, 48.0)], [20000], radius=4.5, background=0.1)
    counts = np.random.default_rng(1).poisson(wide + mean_pattern(96, [(47.0, 60.0)], [300]))
    found = encode_patterns(counts[None], encoder(counts.shape), UNKNOWN)
    distance = np.hypot(found.y - found.y[found.direct[0]], found.x - found.x[found.direct[0]])
    assert (distance < 1.5 * RADIUS).sum() == 1
    assert found.direct.tolist() == [0]
    assert nearest(found, 47.0, 60.0)[0] < 0.5


def test_only_the_brightest_are_kept():
    positions, electrons, counts = simulate(4)
    found = encode_patterns(counts[None], encoder(counts.shape, most=7), UNKNOWN)
    assert found.counts.tolist() == [7]
    assert np.all(np.diff(found.intensity) <= 0)
    brightest = positions[np.argsort(-electrons)[:4]]
    assert np.all(nearest(found, *brightest.T) < 0.5)


@pytest.mark.parametrize(("side", "radius"), [(128, 1.5), (128, 6.0), (256, 3.0)])
def test_noise_alone_shows_about_one_reflection_a_pattern(side, radius):
    y, x = np.indices((side, side)) - (side - 1) / 2
    mean = 3 * (1 + (y**2 + x**2) / (0.09 * side) ** 2) ** -1.5
    noise = np.random.default_rng(7).poisson(mean, (20, side, side))
    found = encode_patterns(noise, encoder((side, side), radius=radius), np.full((20, 2), np.nan))
    # The summit of a steep background passes for a direct beam.
    assert (~found.is_direct).sum() / 20 < 1.5


def test_a_higher_floor_registers_less():
    counts = simulate(4)[2]
    number = [
        encode_patterns(counts[None], encoder(counts.shape, floor=floor), UNKNOWN).counts[0]
        for floor in (3.5, 6.0, 12.0)
    ]
    assert number[0] > number[1] > number[2] > 0


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_grey_levels_are_encoded_above_their_noise(dtype):
    rng = np.random.default_rng(6)
    positions = [(64.2, 63.1), (30.4, 80.7), (90.8, 40.3), (100.5, 100.2)]
    image = mean_pattern(128, positions, [28.3 * h for h in (150, 60, 25, 12)], background=20)
    image = np.clip(np.rint(image + rng.normal(0, 2.5, image.shape)), 0, 255)
    scale = 1.0 if dtype == np.uint8 else 1e-3
    found = encode_patterns(
        (image * scale).astype(dtype)[None], encoder(image.shape, counts=False), UNKNOWN
    )
    assert found.counts.tolist() == [4]
    np.testing.assert_allclose(found.y, [p[0] for p in positions], atol=0.35)
    np.testing.assert_allclose(found.x, [p[1] for p in positions], atol=0.35)
    np.testing.assert_allclose(found.intensity / scale, [150, 60, 25, 12], atol=3)
    assert found.noise[0] / scale == pytest.approx(2.5, rel=0.1)
    if dtype == np.uint8:
        assert found.threshold[0] == 3


def test_the_threshold_of_grey_levels_follows_the_noise():
    rng = np.random.default_rng(6)
    image = np.clip(100 + rng.normal(0, 8, (1, 96, 96)), 0, 255).astype(np.uint8)
    found = encode_patterns(image, encoder((96, 96), counts=False), UNKNOWN)
    assert found.threshold[0] == pytest.approx(8, rel=0.1)
    assert found.threshold[0] == found.noise[0]
    assert found.counts.tolist() == [0]


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("shape", [(8, 8), (31, 47), (64, 64)])
@pytest.mark.parametrize("radius", [0.4, 3.0, 9.0])
def test_patterns_without_anything_give_empty_lists(shape, radius, counts):
    patterns = np.stack([np.zeros(shape), np.full(shape, 7.0), np.full(shape, np.nan)])
    beam = np.full((3, 2), np.nan)
    found = encode_patterns(patterns, encoder(shape, radius=radius, counts=counts), beam)
    assert found.counts.tolist() == [0, 0, 0]
    assert found.direct.tolist() == [-1, -1, -1]
    masked = Encoder(Lengths.of_disc(radius), np.zeros(shape, bool), counts)
    noise = np.random.default_rng(1).poisson(5, (1, *shape))
    assert encode_patterns(noise, masked, UNKNOWN).counts.tolist() == [0]
    assert len(encode_patterns(noise[:0], masked, beam[:0])) == 0


def test_the_papers_lengths_work_on_small_patterns():
    pattern = np.zeros((1, 8, 8), np.uint16)
    pattern[0, 4, 3] = 50
    found = encode_patterns(
        pattern, Encoder(Lengths.of_width(8), np.ones((8, 8), bool), True), UNKNOWN
    )
    assert (found.y.tolist(), found.x.tolist()) == ([4], [3])


def test_what_does_not_belong_together_is_reported():
    with pytest.raises(InputError, match="8 x 9 pixels"):
        encode_patterns(np.zeros((1, 9, 8)), encoder((8, 9)), UNKNOWN)
    with pytest.raises(InputError, match="2 patterns"):
        encode_patterns(np.zeros((2, 8, 9)), encoder((8, 9)), UNKNOWN)
    with pytest.raises(InputError, match="disc radius above 0"):
        encoder((8, 9), radius=0)
    with pytest.raises(InputError, match="two axes"):
        encoder((8,))


def test_reflections_of_the_shared_scans_lie_where_the_truth_has_them(shared_data):
    from rsciio.hspy import file_reader

    scan = file_reader(shared_data / "scans" / "lnmo_6grains.hspy", lazy=True)[0]["data"]
    pattern = np.asarray(scan[20, 20])
    truth = np.load(shared_data / "scans" / "lnmo_6grains.npz")
    found = encode_patterns(pattern[None], encoder(pattern.shape), UNKNOWN)
    assert 15 <= found.counts[0] <= 45
    assert found.direct.tolist() == [0]
    clean = np.tensordot(truth["weights"][20, 20], truth["patterns"], 1)
    at = np.rint([found.y, found.x]).astype(int)
    # The noiseless pattern is brighter there than around.
    around = [np.roll(clean, shift, axis)[tuple(at)] for shift in (6, -6) for axis in (0, 1)]
    assert np.mean(clean[tuple(at)] > np.median(around, axis=0)) > 0.9
