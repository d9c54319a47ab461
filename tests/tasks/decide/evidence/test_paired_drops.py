import numpy as np

from orimap.tasks.decide.evidence.evidence import paired_drops


def test_drops_are_against_the_best_of_all_smaller_k_and_paired_by_position():
    scores = np.array([[10.0, 20, 30, 40], [8, 16, 27, 37], [9, 17, 28, 38], [7, 15, 26, 36]])
    drop, error = paired_drops(scores)
    # Gains 2, 4, 3, 3; then -1 each, no better; then 1 each against the second.
    np.testing.assert_allclose(drop, [np.nan, 3, -1, 1])
    np.testing.assert_allclose(error, [np.nan, np.sqrt(0.5) / 2, 0, 0])


def test_a_single_k_lowers_nothing():
    drop, error = paired_drops(np.ones((1, 5)))
    np.testing.assert_array_equal(drop, [np.nan])
    np.testing.assert_array_equal(error, [np.nan])
