"""The arithmetic of the benchmark on realistic scans, on rows and maps made by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent / "benchmarks" / "deciding"


def truth():
    """Two grains and a column without specimen; the positions between are shared."""
    labels = np.repeat([[0, 0, 1, 1, -1]], 6, axis=0)
    weights = np.zeros((6, 5, 2))
    weights[:, 0] = 1, 0
    weights[:, 1] = 0.6, 0.4
    weights[:, 2:4] = 0, 1
    return {"labels": labels, "weights": weights, "k": 2, "k_ok": np.array([2])}


def row_of(script, **known):
    return script("realistic").Scan("seed", "a", "orimap", 2, **known)


def test_a_map_is_scored_where_there_is_specimen_and_inside_grains(script):
    row = row_of(script)
    label = np.repeat([[0, 1, 1, 1, 1]], 6, axis=0)
    ratio = np.zeros((6, 5))
    ratio[0, 0], ratio[:, 1] = 0.5, 0.9
    script("realistic").score(row, label, ratio, truth())
    assert (row.k, row.defensible, row.white) == (2, True, 0.0)
    assert row.ari_inside == 1
    assert 0 < row.ari < 1
    # One of 18 positions inside grains; what is shared may overlap.
    assert row.false_overlap == pytest.approx(1 / 18, abs=1e-4)


def test_specimen_without_a_cluster_is_counted(script):
    row = row_of(script)
    label = np.repeat([[0, 0, -1, -1, -1]], 6, axis=0)
    script("realistic").score(row, label, np.zeros((6, 5)), truth())
    assert (row.k, row.defensible, row.white) == (1, False, 0.5)


def test_the_ceiling_is_reached_where_true_patterns_tell_all_positions_apart(script):
    known = truth()
    images = np.full((2, 16, 16), 2.0)
    images[0, 2:5, 2:5] = images[1, 11:14, 11:14] = 300
    patterns = np.random.default_rng(0).poisson(np.tensordot(known["weights"], images, axes=1))
    assert script("realistic").ceiling(patterns, known) == 1


def test_rows_are_read_as_they_were_written(script, tmp_path):
    rows = [row_of(script, k=2, ari=0.5, white=0.0, confidence="low"), row_of(script)]
    for row in rows:
        script("realistic").append(tmp_path / "r.csv", row)
    read = script("realistic").read(tmp_path / "r.csv")
    assert read[0] == replace(rows[0], measured=None, code=None)
    assert (read[1].k, read[1].ari, read[1].defensible) == (None, None, False)


def test_a_row_is_right_by_number_and_map(script):
    right = script("realistic_table").is_right
    good = row_of(script, defensible=True, ari_inside=0.95)
    assert right(good)
    assert not right(replace(good, ari_inside=0.94))
    assert not right(replace(good, defensible=False))
    # A single pattern has a map by itself.
    assert right(replace(good, k_true=1, ari_inside=0.0))


def test_the_table_has_both_ways_side_by_side(script, tmp_path):
    ours = row_of(
        script, k=2, defensible=True, ari=0.9, ari_inside=0.99, ceiling=0.92, white=0.004,
        false_overlap=0.01, confidence="high", measured="2026-11-26", code="abc",
    )  # fmt: skip
    user = replace(ours, way="careful-user", k=3, defensible=False, ari=0.7, ari_inside=0.8)
    text = script("realistic_table").page([ours, replace(user, confidence=None)])
    line = "| a | 2 | 0.92 | **2** | high | 0.90 (0.99) | 0.4 % | 1.0 % | 3 | 0.70 (0.80) |"
    assert line in text
    assert "orimap: number right on 1 of 1, within one on 1; map within 5 % of the ceiling" in text
    assert "High confidence on 1, right on 1." in text
    told = {"realistic": [("high", True), ("high", False)], "kinematical": [("low", False)]}
    script("realistic_table").draw(told, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_a_careful_user_separates_two_grains(script):
    rng = np.random.default_rng(1)
    images = np.full((2, 24, 24), 1.0)
    images[:, 11:13, 11:13] = 500
    images[0, 3:6, 3:6] = images[1, 18:21, 4:7] = 40
    weights = np.zeros((12, 14, 2))
    weights[:, :7, 0] = weights[:, 7:, 1] = 1
    patterns = rng.poisson(np.tensordot(weights, images, axes=1)).astype(np.float32)
    user = script("careful_user")
    answer = user.careful(user.prepare(patterns))
    truth_label = weights.argmax(axis=-1)
    majority = [np.bincount(answer.label[truth_label == g]).argmax() for g in (0, 1)]
    assert majority[0] != majority[1]
