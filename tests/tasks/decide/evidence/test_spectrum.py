import numpy as np
import pytest

from orimap.tasks.decide.evidence.spectrum import (
    FEWEST_COUNTS,
    BiWhitened,
    bi_whitened_rank,
    enough_counts,
    noise_edge,
    unit_variance_scales,
)
from orimap.tasks.errors import InputError
from orimap.tasks.factorise.sketch import Sketch
from orimap.tasks.factorise.weighting import poisson_weighting

POSITIONS, DETECTOR, RANK = 150, (14, 16), 5


@pytest.fixture(scope="module")
def factors():
    """Weights and patterns of five components over a background, uneven along both axes."""
    rng = np.random.default_rng(7)
    weights = rng.gamma(0.4, 1, (POSITIONS, RANK)) + 0.05
    patterns = rng.gamma(0.4, 8, (RANK, 224)) + 2 * rng.gamma(1, 1, 224)
    return weights, patterns


def whole_sketch(counts, weighting, rank):
    """A sketch of so many directions by NumPy's singular value decomposition."""
    rows = counts.astype(float)
    factor = weighting.row_factor(rows)
    weighted = weighting.apply(rows, factor)
    left, values, right = np.linalg.svd(weighted, full_matrices=False)
    none = np.zeros((rank, np.count_nonzero(~weighting.fitted)))
    squares = float(np.vdot(weighted, weighted))
    return Sketch(left.T[:rank], values[:rank], right[:rank], none, factor, squares)


def weighted_by(counts, beam=None, **options):
    mean = counts.mean(axis=0).reshape(DETECTOR)
    beam = np.zeros(DETECTOR, bool) if beam is None else beam
    return poisson_weighting(mean, np.ones(DETECTOR, bool), beam, **options)


def dense_bi_whitening(counts):
    """All singular values of the counts scaled by Sinkhorn's iteration on the counts themselves."""
    n, m = counts.shape
    u, v = np.ones(n), np.ones(m)
    for _ in range(500):
        u = m / (counts @ v)
        v = n / (u @ counts)
    whitened = np.sqrt(u)[:, None] * counts * np.sqrt(v)
    return np.linalg.svd(whitened, compute_uv=False), np.sqrt(n) + np.sqrt(m)


@pytest.mark.parametrize("poisson", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_finds_the_rank_that_the_whole_matrix_has(factors, seed, poisson):
    counts = np.random.default_rng(seed).poisson(factors[0] @ factors[1])
    weighting = weighted_by(counts, poisson=poisson)
    found = bi_whitened_rank(whole_sketch(counts, weighting, 20), weighting, *factors)
    values, edge = dense_bi_whitening(counts)
    assert found.rank == np.count_nonzero(values > edge) == RANK
    assert found.gap[0] == RANK
    assert edge < found.edge < 1.04 * edge
    assert not found.capped
    # The signal is what the whole matrix shows. The counts' own scaling differs from that of
    # their mean by the noise of a row's sum; noise values lose what the sketch does not hold.
    np.testing.assert_allclose(found.values[:RANK], values[:RANK], rtol=0.02)
    assert np.all(found.values[RANK:] < 1.02 * values[RANK:20])


def test_a_sketch_of_every_direction_gives_the_values_of_the_scaled_matrix(factors):
    counts = np.random.default_rng(0).poisson(factors[0] @ factors[1])
    weighting = weighted_by(counts)
    found = bi_whitened_rank(whole_sketch(counts, weighting, POSITIONS), weighting, *factors)
    u, v = unit_variance_scales(*factors)
    expected = np.linalg.svd(np.sqrt(u)[:, None] * counts * np.sqrt(v), compute_uv=False)
    np.testing.assert_allclose(found.values, expected, rtol=1e-9)
    assert (found.positions, found.pixels) == (POSITIONS, 224)


def test_noise_alone_ends_at_the_edge():
    rng = np.random.default_rng(1)
    weights, patterns = rng.gamma(2, 20, (POSITIONS, 1)), rng.gamma(2, 1, (1, 224))
    counts = rng.poisson(weights @ patterns)
    values = bi_whitened_rank(
        whole_sketch(counts, weighted_by(counts), POSITIONS), weighted_by(counts), weights, patterns
    ).values
    edge = np.sqrt(POSITIONS) + np.sqrt(224)
    assert values[0] > 3 * edge
    assert 0.95 * edge < values[1] < 1.02 * edge


def test_one_of_a_thousand_noise_matrices_reaches_beyond_the_edge():
    rng = np.random.default_rng(4)
    noise = rng.standard_normal((2000, 40, 60))
    largest = np.linalg.svd(noise, compute_uv=False)[:, 0]
    beyond = np.count_nonzero(largest > noise_edge(40, 60))
    assert 0 <= beyond <= 6  # 2 are expected
    # Within the law: its median is 1.27 spreads below the plain end, on the scale of squares.
    spread = (40**0.5 + 60**0.5) * np.cbrt(40**-0.5 + 60**-0.5)
    plain = (40**0.5 + 60**0.5) ** 2
    assert (np.median(largest) ** 2 - plain) / spread == pytest.approx(-1.27, abs=0.25)


def test_scales_make_the_mean_one_along_rows_and_columns(factors):
    u, v = unit_variance_scales(*factors)
    scaled = u[:, None] * (factors[0] @ factors[1]) * v
    np.testing.assert_allclose(scaled.mean(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(scaled.mean(axis=1), 1, atol=1e-5)


def test_the_beam_and_what_expects_no_counts_are_left_out(factors):
    weights, patterns = (part.copy() for part in factors)
    weights[3] = 0
    patterns[:, 10] = 1e-3
    counts = np.random.default_rng(2).poisson(weights @ patterns)
    counts[7, 10] = 1
    beam = np.zeros(DETECTOR, bool)
    beam[6:8, 6:8] = True
    weighting = weighted_by(counts, beam)
    found = bi_whitened_rank(whole_sketch(counts, weighting, 20), weighting, weights, patterns)
    assert (found.positions, found.pixels) == (POSITIONS - 1, 224 - 5)
    assert found.rank == RANK


def test_leaving_out_is_repeated_until_it_settles():
    # Without the second pixel, the second position expects too little; without it, the third pixel.
    weights = np.array([[3.0, 0, 0], [0, 1.0, 1.0]])
    most = FEWEST_COUNTS
    patterns = np.array([[most, 0, 0], [0, most / 2, 0], [0, 0, most]])
    patterns[0, 2] = most / 6
    rows, columns = enough_counts(weights, patterns, np.ones(2, bool), np.array([1, 1, 1], bool))
    np.testing.assert_array_equal(rows, [True, True])
    np.testing.assert_array_equal(columns, [True, False, True])
    patterns[2, 2] = most * 0.9
    rows, columns = enough_counts(weights, patterns, np.ones(2, bool), np.array([1, 1, 1], bool))
    np.testing.assert_array_equal(rows, [True, False])
    np.testing.assert_array_equal(columns, [True, False, False])


def test_says_when_the_sketch_is_too_small_to_tell(factors):
    counts = np.random.default_rng(0).poisson(factors[0] @ factors[1])
    weighting = weighted_by(counts)
    found = bi_whitened_rank(whole_sketch(counts, weighting, 4), weighting, *factors)
    assert found.capped
    assert found.rank == 4


def test_nothing_stands_out_where_nothing_is_expected(factors):
    counts = np.random.default_rng(0).poisson(factors[0] @ factors[1])
    weighting = weighted_by(counts)
    sketch = whole_sketch(counts, weighting, 4)
    found = bi_whitened_rank(sketch, weighting, factors[0] * 1e-9, factors[1])
    assert (found.rank, found.capped, found.positions) == (0, False, 0)
    assert found.gap == (0, np.inf)


@pytest.mark.parametrize(
    ("values", "rank", "gap"),
    [
        ([90, 40, 38, 20, 18, 5], 5, (3, 1.9)),  # 38 / 20; beyond 18 comes the edge at 10
        ([90, 40, 39, 38, 5, 4], 4, (4, 3.8)),
        ([90, 40, 20, 18], 4, (2, 2.0)),  # capped
        ([90, 5, 4], 1, (1, np.inf)),
    ],
)
def test_the_gap_is_the_largest_step_after_the_first_value(values, rank, gap):
    found = BiWhitened(rank, np.array(values, float), 10.0, rank == len(values), 50, 50)
    assert found.gap == pytest.approx(gap)


def test_factors_of_another_fit_are_refused(factors):
    counts = np.random.default_rng(0).poisson(factors[0] @ factors[1])
    weighting = weighted_by(counts)
    with pytest.raises(InputError, match=r"\(150, 4\) and \(5, 224\)"):
        bi_whitened_rank(
            whole_sketch(counts, weighting, 4), weighting, factors[0][:, :4], factors[1]
        )


@pytest.mark.parametrize(("gain", "noise"), [(9, 14), (150, 0), (0.4, 0.5)])
def test_a_camera_has_the_rank_of_its_electrons(factors, gain, noise):
    # Read-out noise is that of a pedestal of electrons, which is one more direction.
    rng = np.random.default_rng(0)
    weights, patterns = factors
    electrons = rng.poisson(weights @ patterns)
    pedestal = noise**2 / gain
    seen = gain * electrons + noise * rng.standard_normal(electrons.shape) + pedestal
    weights = np.column_stack([weights, np.full(POSITIONS, pedestal)])
    patterns = np.vstack([gain * patterns, np.ones(224)])
    weighting = weighted_by(np.maximum(seen, 0))
    sketch = whole_sketch(np.maximum(seen, 0), weighting, 20)
    found = bi_whitened_rank(sketch, weighting, weights, patterns, gain)
    assert found.rank == RANK + (noise > 0)
    values = found.values[found.rank :]
    assert values[0] < found.edge < 1.1 * values[0]


def test_noise_that_pixels_share_reaches_beyond_the_edge(factors):
    counts = np.random.default_rng(0).poisson(factors[0] @ factors[1]).astype(float)
    images = counts.reshape(-1, *DETECTOR)
    images = (images + np.roll(images, 1, axis=1) + np.roll(images, 1, axis=2)) / 3
    blurred = images.reshape(counts.shape)
    weighting = weighted_by(blurred)
    # The gain of the whole noise; that of single pixels would be a third of it.
    found = bi_whitened_rank(whole_sketch(blurred, weighting, 40), weighting, *factors, 1.0)
    alone = bi_whitened_rank(whole_sketch(blurred, weighting, 40), weighting, *factors, 1 / 3)
    assert alone.rank > RANK + 5
    assert found.rank < RANK + 5
