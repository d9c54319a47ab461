import numpy as np
import pytest

from orimap.tasks.factorise.sketch import sketch_patterns
from orimap.tasks.factorise.weighting import poisson_weighting
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.stream.sizes import sketch_rank

SCAN, DETECTOR = (9, 10), (11, 12)
# Bases are in single precision: weighted counts of up to 10 come back to about 1e-6.
SINGLE = 1e-5


@pytest.fixture
def counts():
    """Counts of four patterns, their weights and noise; one position and one pixel are empty."""
    rng = np.random.default_rng(0)
    expected = rng.gamma(0.3, 40, (90, 4)) @ rng.gamma(0.3, 1, (4, 132)) / 8
    values = rng.poisson(expected).reshape(*SCAN, *DETECTOR).astype(np.uint16)
    values[3, 4] = 0
    values[:, :, 5, 6] = 0
    return values


@pytest.fixture
def weighting(counts):
    rng = np.random.default_rng(1)
    valid = rng.random(DETECTOR) < 0.9
    beam = np.zeros(DETECTOR, bool)
    beam[4:7, 5:8] = True
    return poisson_weighting(counts.mean(axis=(0, 1)), valid, beam)


def plain(counts, weighting):
    """Weighted matrix (all of it), row factors and the columns left out, by NumPy alone."""
    rows = counts.reshape(90, -1)[:, weighting.valid.ravel()].astype(float)
    mean = rows[:, weighting.fitted].mean(axis=1)
    factor = np.array([1 / np.sqrt(value) if value > 0 else 0.0 for value in mean])
    pixel = rows.mean(axis=0)
    pixel = np.array([1 / np.sqrt(value) if value > 0 else 0.0 for value in pixel])
    pixel[~weighting.fitted] = 0
    return rows * factor[:, None] * pixel, factor, rows[:, ~weighting.fitted] * factor[:, None]


def low_rank(sketch):
    return sketch.left.T @ np.diag(sketch.values) @ sketch.right


def test_singular_values_and_low_rank_matrix_are_those_of_numpy(
    one_worker, store_patterns, counts, weighting
):
    (sketch,) = sketch_patterns(
        one_worker, store_patterns(counts, (3, 4)), weighting, 40, seed=0, held_out=False
    )
    matrix, factor, _ = plain(counts, weighting)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(sketch.row_factor, factor, rtol=1e-12)
    assert sketch.squares == pytest.approx((matrix**2).sum(), rel=1e-12)
    # The four of the signal, though those of the noise are not far below.
    np.testing.assert_allclose(sketch.values[:4], values[:4], rtol=1e-5)
    best = left[:, :4] * values[:4] @ right[:4]
    found = low_rank(sketch.truncated(4))
    assert np.linalg.norm(found - best) < 1e-3 * np.linalg.norm(best)
    # And all 40 together miss little more than the best 40 (7 % here: noise has no best ones).
    missed = np.linalg.norm(matrix - low_rank(sketch))
    assert missed <= 1.1 * np.sqrt((values[40:] ** 2).sum())
    np.testing.assert_allclose(sketch.left @ sketch.left.T, np.eye(40), atol=1e-10)
    np.testing.assert_allclose(sketch.right @ sketch.right.T, np.eye(40), atol=1e-10)
    assert np.all(np.diff(sketch.values) <= 0)
    assert np.all(sketch.right[:, ~weighting.fitted] == 0)
    np.testing.assert_allclose(sketch.left[:, 34], 0, atol=1e-14)


def test_a_sketch_of_full_rank_is_the_matrix(one_worker, store_patterns, counts, weighting):
    (sketch,) = sketch_patterns(
        one_worker, store_patterns(counts, (5, 5)), weighting, 200, seed=0, held_out=False
    )
    matrix, _, other = plain(counts, weighting)
    np.testing.assert_allclose(low_rank(sketch), matrix, atol=SINGLE)
    # The left singular vectors span all positions but the empty one.
    np.testing.assert_allclose(sketch.left.T @ sketch.excluded, other, atol=SINGLE)
    assert len(sketch.values) == 89


def test_what_is_left_out_is_projected_on_the_left_vectors(
    one_worker, store_patterns, counts, weighting
):
    (sketch,) = sketch_patterns(
        one_worker, store_patterns(counts, (2, 10)), weighting, 7, seed=3, held_out=False
    )
    _, _, other = plain(counts, weighting)
    np.testing.assert_allclose(sketch.excluded, sketch.left @ other, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (9, 10)])
def test_blocks_do_not_change_the_sketch(
    one_worker, store_patterns, counts, weighting, shape, monkeypatch
):
    made = [
        sketch_patterns(
            one_worker, store_patterns(counts, blocks), weighting, 12, seed=2, held_out=True
        )
        for blocks in (shape, (2, 7))
    ]
    for first, second in zip(*made, strict=True):
        np.testing.assert_allclose(first.values, second.values, rtol=SINGLE)
        np.testing.assert_allclose(low_rank(first), low_rank(second), atol=SINGLE)
        np.testing.assert_array_equal(first.row_factor, second.row_factor)


def test_sparse_and_dense_rows_make_the_same_sketch(
    one_worker, store_patterns, counts, weighting, monkeypatch
):
    made = []
    for share in (0.0, 1.1):
        monkeypatch.setattr("orimap.tasks.patterns.rows.SPARSE_BELOW", share)
        source = store_patterns(counts, (4, 5))
        made.append(sketch_patterns(one_worker, source, weighting, 9, seed=2, held_out=True))
    for first, second in zip(*made, strict=True):
        np.testing.assert_allclose(low_rank(first), low_rank(second), atol=SINGLE)
        np.testing.assert_allclose(first.excluded, second.excluded, rtol=SINGLE, atol=2 * SINGLE)
        assert first.squares == pytest.approx(second.squares, rel=1e-12)


def test_one_and_two_workers_make_the_same_sketch_to_the_last_bit(
    client, one_worker, store_patterns, counts, weighting
):
    source = store_patterns(counts, (2, 3))
    made = [
        sketch_patterns(where, source, weighting, 9, seed=2, held_out=True)
        for where in (client, one_worker)
    ]
    for first, second in zip(*made, strict=True):
        for name in ("left", "values", "right", "excluded", "row_factor"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert first.squares == second.squares


@pytest.mark.parametrize("filter", ["raw", "mean"])
def test_the_training_half_is_sketched_as_its_own_scan(
    one_worker, store_patterns, counts, weighting, filter
):
    from orimap.tasks.patterns.filters import write_mean

    source = store_patterns(counts, (4, 4))
    write_mean(one_worker, source.store, "mean")
    source = PatternSource.open(source.store, filter)
    everything, training = sketch_patterns(
        one_worker, source, weighting, 200, seed=4, held_out=True
    )
    whole = next(iter(source.blocks())).__class__(0, 9, 0, 10)
    train, _ = source.halves(whole, weighting.valid, 4)
    train = np.asarray(train.todense()) if hasattr(train, "todense") else train
    factor = weighting.row_factor(train)
    expected = train * factor[:, None] * weighting.pixel
    np.testing.assert_allclose(low_rank(training), expected, atol=SINGLE)
    rows = source.rows(whole, weighting.valid)
    rows = np.asarray(rows.todense()) if hasattr(rows, "todense") else rows
    expected = rows * weighting.row_factor(rows)[:, None] * weighting.pixel
    np.testing.assert_allclose(low_rank(everything), expected, atol=SINGLE)


def test_progress_counts_three_passes(one_worker, store_patterns, counts, weighting):
    heard = []
    sketch_patterns(
        one_worker,
        store_patterns(counts, (3, 10)),
        weighting,
        5,
        seed=0,
        held_out=False,
        progress=lambda *place: heard.append(place),
    )
    assert heard == [(done, 9) for done in range(1, 10)]


@pytest.mark.parametrize("shape", [(1, 1, 6, 7), (4, 5, 1, 1), (1, 5, 6, 1)])
def test_the_smallest_scans_have_a_sketch(one_worker, store_patterns, shape):
    values = np.random.default_rng(0).integers(1, 9, shape).astype(np.uint8)
    valid = np.ones(shape[2:], bool)
    weighting = poisson_weighting(values.mean(axis=(0, 1)), valid, np.zeros_like(valid))
    rank = sketch_rank(20, shape[0] * shape[1], shape[2] * shape[3])
    (sketch,) = sketch_patterns(
        one_worker, store_patterns(values), weighting, rank, seed=0, held_out=False
    )
    rows = values.reshape(-1, valid.size).astype(float)
    expected = rows / np.sqrt(rows.mean(axis=1, keepdims=True)) / np.sqrt(rows.mean(axis=0))
    np.testing.assert_allclose(low_rank(sketch), expected, atol=SINGLE)
    assert sketch.excluded.shape == (len(sketch.values), 0)
