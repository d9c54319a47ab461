import numpy as np
import pytest

from orimap.tasks.decide.candidates import (
    LEAST_DROP_ERRORS,
    LEAST_DROP_SHARE,
    MOST_CANDIDATES,
    PLATEAU,
    Candidate,
    clear_drops,
    held_out_vote,
    leading_candidates,
    settled_candidates,
)


def numbers(candidates):
    return [c.distinct for c in candidates]


def test_how_well_a_number_has_settled():
    assert Candidate(4, 3, 3, PLATEAU, 0.75).settled == 0.75
    assert Candidate(4, 3, 3, 4 * PLATEAU, 0.75).settled == 0.75
    # A single fit of its own, at the end of the range, is next to no plateau.
    assert Candidate(9, 8, 8, 1, 1.0).settled == pytest.approx(1 / PLATEAU)


def test_the_plateau_comes_first_with_its_share_of_the_fits_from_its_start_on(make_evidence):
    first = settled_candidates(make_evidence([1, 2, 3, 4, 4, 4, 5, 4, 4]))[0]
    assert (first.distinct, first.first, first.fits) == (4, 3, 5)
    assert first.share == pytest.approx(5 / 6)


def test_every_number_that_a_fit_holds_is_a_candidate(make_evidence):
    found = settled_candidates(make_evidence([1, 3, 2, 3, 3, 3], first=3))
    assert sorted(numbers(found)) == [1, 2, 3]
    assert {c.distinct: c.first for c in found} == {1: 0, 3: 1, 2: 2}
    assert sum(c.fits for c in found) == 6


def test_of_equally_settled_numbers_the_larger_comes_first(make_evidence):
    # Half of the range holds 3, half of the rest 2: either half of what there is from its start.
    held = [3] * 2 * PLATEAU + [2] * PLATEAU + [4] * PLATEAU
    found = settled_candidates(make_evidence(held, first=4))
    assert [c.settled for c in found] == [1, 0.5, 0.5]
    assert numbers(found) == [4, 3, 2]


def test_a_plateau_is_stood_for_by_its_last_clear_component(make_evidence):
    # The fourth and fifth components describe how grains bend: they are wanted, the sixth is not.
    held, drops = [1, 2, 3, 3, 3, 3], [50, 30, 9, 8, 0.1]
    best = settled_candidates(make_evidence(held, drops))[0]
    assert (best.distinct, best.first, best.fit) == (3, 2, 4)
    # Without anything held out, the smallest fit does.
    best = settled_candidates(make_evidence(held))[0]
    assert (best.first, best.fit) == (2, 2)


def test_a_clear_component_of_another_number_stands_for_nothing(make_evidence):
    best = settled_candidates(make_evidence([1, 2, 2, 2, 2, 3], [50, 0, 0, 0, 30]))[0]
    assert (best.distinct, best.fit) == (2, 1)


def test_drops_count_above_a_share_of_the_largest(make_evidence):
    threshold = LEAST_DROP_SHARE * 50
    found = make_evidence(range(1, 5), [50, 1.1 * threshold, 0.9 * threshold])
    np.testing.assert_array_equal(clear_drops(found), [False, True, True, False])


def test_drops_count_above_their_standard_errors(make_evidence):
    calm = make_evidence([1, 2, 3], [50, 2], spread=0.01)
    noisy = make_evidence([1, 2, 3], [50, 2], spread=30)
    drop, error = noisy.held_out_drops()
    assert LEAST_DROP_SHARE * 50 < drop[2] < LEAST_DROP_ERRORS * error[2]
    np.testing.assert_array_equal(clear_drops(calm), [False, True, True])
    np.testing.assert_array_equal(clear_drops(noisy), [False, True, False])


@pytest.mark.parametrize("drops", [None, []])
def test_where_nothing_can_drop_nothing_is_clear(make_evidence, drops):
    np.testing.assert_array_equal(clear_drops(make_evidence([1], drops)), [False])
    np.testing.assert_array_equal(clear_drops(make_evidence([1, 2])), [False, False])


@pytest.mark.parametrize("counts", [True, False])
def test_the_drop_that_is_largest_beside_all_that_follow_has_the_vote(make_evidence, counts):
    def vote(drops):
        return held_out_vote(make_evidence([1] * (len(drops) + 1), drops, counts=counts))

    assert vote([50, 30, 10, -0.1]) == 4
    # The drop is against the best so far: a late grain is found after a k that brings nothing.
    assert vote([50, -2, 10, -0.1]) == 4
    # Clear drops that are much smaller than the one before are bending: 30 to 5, 5 to 3, 3 to 1.
    assert vote([50, 30, 5, 3, -1]) == 3
    # All are alike up to the last.
    assert vote([50, 40, 45, 30]) == 5
    assert vote([-0.5, -0.3]) == 1


def test_where_nothing_was_held_out_there_is_no_vote(make_evidence):
    assert held_out_vote(make_evidence([1, 2, 2, 2])) is None


def test_the_best_settled_numbers_are_looked_at_closely(make_evidence):
    found = make_evidence([1, 2, 3, 4, 5, 5, 5, 5, 6, 5])
    leading = leading_candidates(found)
    assert len(leading) == MOST_CANDIDATES
    assert leading == settled_candidates(found)[:MOST_CANDIDATES]
    assert leading[0].distinct == 5
    assert numbers(leading_candidates(make_evidence([2, 2, 2], first=2))) == [2]


def test_what_held_out_counts_vote_for_is_always_among_them(make_evidence):
    held = [1, 2, 3, 4, 5, 6, 5, 6, 5, 6]
    drops = [50, 40, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    found = make_evidence(held, drops)
    assert held_out_vote(found) == 3
    settled = numbers(settled_candidates(found))
    assert settled.index(3) >= MOST_CANDIDATES
    assert numbers(leading_candidates(found)) == [*settled[: MOST_CANDIDATES - 1], 3]


def test_fits_in_which_patterns_run_into_each_other_settle_at_nothing(make_evidence):
    found = make_evidence([1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 1, 1, 1, 1, 1])
    numbers = {c.distinct: c for c in settled_candidates(found)}
    # From 6 on, what is below 5 counts no more.
    assert (numbers[1].fits, numbers[6].fits, numbers[5].fits) == (1, 2, 2)
    assert (numbers[3].fits, numbers[4].fits) == (1, 1)
    # A single fit that held more is chance.
    chance = make_evidence([1, 2, 3, 6, 3, 3, 3, 3])
    assert settled_candidates(chance)[0].distinct == 3


def test_a_late_number_counts_where_its_first_component_shows_in_what_was_held_out(make_evidence):
    held = [1, 2, 3, 3, 3, 3, 3, 4, 4, 4]
    drops = [50, 30, *[0.1] * 7]
    late = make_evidence(held, drops)
    assert [c.distinct for c in settled_candidates(late)] == [3, 2, 1]
    shown = make_evidence(held, [*drops[:6], 20, *drops[7:]])
    assert settled_candidates(shown)[0].distinct == 4
    # Nothing was held out: there is no telling.
    assert settled_candidates(make_evidence(held))[0].distinct == 4
