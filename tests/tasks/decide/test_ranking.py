import subprocess
import sys

import numpy as np
import pytest

from orimap.tasks.decide.ranking import Scores, rank_candidates
from orimap.tasks.errors import InputError


def test_matches_an_example_worked_by_hand():
    # Scaled to 0..1: gain (0, .5, 1), cost (1, .75, 0); each weighs .5. The distances of the
    # middle one: from the best (.25, .125), from the worst (.25, .375).
    ranking = rank_candidates(
        [3, 4, 5],
        [
            Scores("gain", np.array([0.0, 5, 10]), True, 2.0),
            Scores("cost", np.array([0.0, 1, 4]), False, 2.0),
        ],
    )
    near, far = np.hypot(0.25, 0.125), np.hypot(0.25, 0.375)
    middle = far / (near + far)
    np.testing.assert_allclose(ranking.preference, [0.5, middle, 0.5])
    np.testing.assert_array_equal(ranking.order, [4, 3, 5])
    assert ranking.votes == {"gain": 5, "cost": 3}
    assert ranking.margin == pytest.approx(middle - 0.5)


def test_weights_matter_and_only_their_ratio():
    values = np.array([1.0, 2, 4]), np.array([4.0, 3, 1])
    heavy, same, light = (
        rank_candidates([1, 2, 3], [Scores("a", values[0], True, a), Scores("b", values[1], True)])
        for a in (5, 5.0, 0.2)
    )
    assert heavy.order[0] == 3
    assert light.order[0] == 1
    np.testing.assert_array_equal(heavy.preference, same.preference)


def test_a_criterion_alone_ranks_by_itself():
    ranking = rank_candidates([7, 8, 9], [Scores("drop", np.array([-1.0, 3, 1]), True)])
    np.testing.assert_allclose(ranking.preference, [0, 1, 0.5])
    np.testing.assert_array_equal(ranking.order, [8, 9, 7])
    assert ranking.margin == pytest.approx(0.5)


def test_what_is_not_known_of_every_candidate_is_skipped_and_named():
    known = Scores("drop", np.array([1.0, 3]), True)
    ranking = rank_candidates(
        [2, 3],
        [Scores("stability", np.array([0.9, np.nan]), True), known, Scores("same", [4, 4], True)],
    )
    assert ranking.skipped == ("stability",)
    assert ranking.indifferent == ("same",)
    assert ranking.votes == {"stability": None, "drop": 3, "same": None}
    np.testing.assert_array_equal(ranking.preference, rank_candidates([2, 3], [known]).preference)


def test_where_nothing_tells_them_apart_the_first_comes_first():
    for criteria in ([], [Scores("zero", np.zeros(3), False), Scores("off", [1, 2, 3], True, 0)]):
        ranking = rank_candidates([4, 2, 3], criteria)
        np.testing.assert_array_equal(ranking.order, [4, 2, 3])
        np.testing.assert_array_equal(ranking.preference, [0.5] * 3)
        assert ranking.margin == 0
    single = rank_candidates([4], [Scores("drop", np.array([2.0]), True)])
    assert (single.order.tolist(), single.margin) == ([4], 1.0)


@pytest.mark.parametrize(
    ("candidates", "criteria", "found"),
    [
        ([], [], r"shape \(0,\)"),
        ([1, 2], [Scores("drop", np.ones(3), True)], r"values of shape \(3,\)"),
        ([1, 2], [Scores("drop", np.ones(2), True, -1)], "weight -1"),
        ([1, 2], [Scores("drop", np.ones(2), True)] * 2, "drop, drop"),
    ],
)
def test_what_cannot_be_ranked_is_refused(candidates, criteria, found):
    with pytest.raises(InputError, match=found):
        rank_candidates(candidates, criteria)


def test_importing_it_does_not_import_figures():
    code = (
        "import sys, orimap.tasks.decide.ranking; "
        "assert not {'pymcdm', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
