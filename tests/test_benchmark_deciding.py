"""The arithmetic of the benchmark of deciding k, on rows made by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent / "benchmarks" / "deciding"


@pytest.fixture(scope="module")
def four_rows(script):
    """One exact, one off by one, one off by four, and one without an answer."""
    row = script("rows").Row(
        1, "nmf-knee", k_true=5, overlap_positions=80, confidence="high", measured="2026-01-01"
    )
    right = {"exact": True, "within_one": True}
    return [
        replace(row, k=5, ari=0.9, overlap_f1=0.8, cpu_seconds=10.0, **right),
        replace(row, number=3, k=6, within_one=True, ari=0.7, overlap_f1=0.6, cpu_seconds=20.0),
        replace(row, number=5, k=1, ari=0.1, overlap_f1=0.0, overlap_positions=3, confidence="low"),
        replace(row, number=7, failure="no answer", confidence=None),
    ]


def test_summary_has_the_values_worked_by_hand(script, four_rows):
    summary = script("summary").summarise(four_rows)
    assert (summary.scans, summary.failures) == (4, 1)
    assert (summary.exact, summary.within_one) == (0.25, 0.5)  # the failure counts as wrong
    assert summary.error == 0  # of 0, 1, -4
    assert (summary.ari, summary.lowest_ari) == (0.7, 0.1)
    assert summary.poor == pytest.approx(1 / 3)
    assert summary.overlap_f1 == pytest.approx(0.7)  # the third has too few overlaps to count
    assert summary.cpu_seconds == 15


def test_confidence_is_counted_over_all_scans_and_checked_against_the_truth(script, four_rows):
    counted = script("summary").confidences(four_rows)
    assert counted == {"high": (0.5, 2, 1), "moderate": (0.0, 0, 0), "low": (0.25, 1, 0)}


def test_table_shows_the_halves_apart(script, four_rows):
    tuning = replace(four_rows[0], number=2)
    text = script("table").page([*four_rows, tuning])
    line = "| scikit-learn NMF, knee, argmax |"
    reporting, tuned = text.split("## Tuning half")
    assert f"{line} 4 | 25 % | 50 % | +0 | .700 | .100 | 33 % | .700 | 15 s | 1 |" in reporting
    assert f"{line} 1 | 100 % | 100 % | +0 | .900 | .900 | 0 % | .800 | 10 s | 0 |" in tuned


def test_ways_are_also_compared_on_the_scans_that_all_of_them_have(script, four_rows):
    other = [replace(row, way="orimap") for row in four_rows[1:3]]
    published = replace(four_rows[0], way="orimap-published")
    common = script("table").on_common_scans([*four_rows, *other, published])
    assert sorted((row.way, row.number) for row in common) == [
        ("nmf-knee", 3),
        ("nmf-knee", 5),
        ("orimap", 3),
        ("orimap", 5),
    ]


def test_a_recipe_is_drawn_the_same_again_and_differs_between_numbers(script):
    recipe_of = script("recipes").recipe_of
    assert recipe_of(6) == recipe_of(6)
    assert recipe_of(6) != recipe_of(8)


def test_rows_are_read_as_they_were_written(script, four_rows, tmp_path):
    rows = script("rows")
    for row in four_rows:
        rows.append(tmp_path / "rows.csv", row)
    assert rows.read(tmp_path / "rows.csv") == four_rows


def test_a_reply_is_scored_against_the_truth(script, four_rows, tmp_path):
    rows = script("rows")
    labels = np.repeat([[0], [1]], 4, axis=1)
    weights = np.eye(2)[labels]
    weights[0, 0] = 0.6, 0.4  # the one position that truly overlaps
    np.savez(tmp_path / "scan.npz", labels=labels, weights=weights)
    ratio = np.zeros(labels.shape)
    ratio[0, :2] = 0.7  # found there, and where there is none
    row = replace(four_rows[3], k_true=2)
    rows.score(row, tmp_path / "scan.npz", rows.Reply(2, 1 - labels, ratio))
    assert (row.k, row.exact, row.within_one, row.failure) == (2, True, True, None)
    assert row.ari == 1  # names of labels do not matter
    assert row.overlap_f1 == pytest.approx(2 / 3, abs=1e-4)  # precision a half, recall 1


def test_stable_components_are_those_that_were_mixed(script):
    nmfk = script("nmfk")
    rng = np.random.default_rng(0)
    patterns = np.zeros((3, 30), np.float32)
    patterns[0, :10] = patterns[1, 10:20] = patterns[2, 20:] = 0.1
    weights = 2000 * rng.dirichlet([0.2] * 3, 60).astype(np.float32)
    counts = rng.poisson(weights @ patterns).astype(np.float32)
    scale = np.ones_like(counts)
    found, silhouette = nmfk.stable_components(counts, scale, 3, rng)
    cosine = (found @ patterns.T) / np.linalg.norm(found, axis=1)[:, None] / np.sqrt(0.1)
    assert np.sort(cosine.argmax(axis=1)).tolist() == [0, 1, 2]
    assert cosine.max(axis=1).min() > 0.95
    assert silhouette > nmfk.STABLE_SILHOUETTE
    assert nmfk.stable_components(counts, scale, 5, rng)[1] < nmfk.STABLE_SILHOUETTE


def test_scaled_counts_have_noise_of_the_same_size(script):
    rng = np.random.default_rng(0)
    of_positions, of_pixels = np.repeat([1, 4, 16], 200)[:, None], rng.uniform(1, 9, 100)
    expected = of_positions * of_pixels
    counts = rng.poisson(expected).astype(np.float32)
    noise = (counts - expected) * script("nmfk").poisson_scale(counts)
    dim, middle, bright = noise.reshape(3, -1).std(axis=1)
    assert middle == pytest.approx(dim, rel=0.03)  # they differ fourfold without
    assert bright == pytest.approx(dim, rel=0.03)


def test_rules_of_nmfk_take_stable_numbers_only(script):
    nmfk = script("nmfk")
    silhouettes = [1.0, 0.9, 0.3, 0.85, 0.2]
    assert nmfk.largest_stable(silhouettes) == 4
    rng = np.random.default_rng(0)
    error = rng.uniform(0.4, 0.5, 50)
    noise = 1e-3 * rng.standard_normal(50)
    errors = [error, error - 0.1, error - 0.2, error - 0.1 + noise, error - 0.3]
    assert nmfk.last_significant(silhouettes, errors) == 2  # 4 is stable, but no better


@pytest.fixture(scope="module")
def tiny_scan(tmp_path_factory):
    """Give a scan of 8 x 9 positions with two halves, as the simulator stores one."""
    return two_halves(tmp_path_factory.mktemp("scan"), (8, 9, 8, 8))


def two_halves(folder, shape):
    """Write a scan (scan_y, scan_x, detector_y, detector_x) of two halves, left and right."""
    from orimap.tasks.store.variables import pattern_intensity

    mean = np.full(shape, 0.2)
    mean[:, :4, 2, 2] = mean[:, 4:, 5, 6] = 200
    counts = np.random.default_rng(0).poisson(mean).astype(np.uint16)
    file = folder / "scan000.zarr"
    pattern_intensity.array(counts).to_dataset().to_zarr(file, consolidated=False, zarr_format=3)
    return file


def test_a_peer_answers_from_a_process_of_its_own(script, tiny_scan):
    ask = script("ask_peers").ask
    ((way, reply),) = ask(Path(sys.executable), "nmfk", ["nmfk-silhouette"], tiny_scan, 60)
    assert (way, reply.failure, reply.k) == ("nmfk-silhouette", None, 2)
    halves = np.repeat([[0] * 4 + [1] * 5], 8, axis=0)
    assert np.array_equal(reply.label, halves) or np.array_equal(reply.label, 1 - halves)
    assert reply.overlap_ratio.max() < 0.5
    assert 0 < reply.cpu_seconds < 60


def test_a_peer_that_fails_says_why(script, tiny_scan):
    ask = script("ask_peers").ask
    ((way, reply),) = ask(Path(sys.executable), "no_such_peer", ["some-way"], tiny_scan, 60)
    assert (way, reply.k) == ("some-way", None)
    assert "no_such_peer" in reply.failure


def test_a_peer_that_takes_too_long_is_ended(script, tmp_path):
    # 1,000 positions of 1,024 pixels: tens of seconds of processor time on any machine.
    scan = two_halves(tmp_path, (25, 40, 64, 64))
    ask = script("ask_peers").ask
    ((_, reply),) = ask(Path(sys.executable), "nmfk", ["nmfk-silhouette"], scan, 1)
    assert reply.k is None
    assert reply.failure == "no answer within 1 s of processor time"
