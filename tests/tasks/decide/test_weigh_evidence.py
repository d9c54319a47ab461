from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.decide.candidates import LEAST_DROP_SHARE, PLATEAU, leading_candidates
from orimap.tasks.decide.evidence.evidence import Limits
from orimap.tasks.decide.evidence.spectrum import BiWhitened
from orimap.tasks.decide.grains.group import ONE_GRAIN
from orimap.tasks.decide.reasons import (
    CROSS_VALIDATION,
    DISTINCT,
    HELD_OUT,
    KNEE,
    REDUNDANCY,
    SPECTRUM,
    STABILITY,
)
from orimap.tasks.decide.weigh_evidence import SETTLED_SHARE, WEIGHTS, ByEvidence, score_candidates

# From 4 on every fit holds 4 patterns; held-out counts speak for them, or for 2.
HELD = [1, 2, 3, 4, 4, 4, 4, 4]
FOR_FOUR, FOR_TWO = [50, 30, 10, 0.1, 0.1, 0.1, 0.1], [50, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
# The number goes on growing.
UNSETTLED = [1, 2, 3, 4, 4, 5, 6, 7]


def spectrum(steps_down_after):
    """Values of which the largest step down comes after so many."""
    values = np.array([100.0, *[8] * (steps_down_after - 1), 2, 2])
    return BiWhitened(len(values), values, 1.0, False, 400, 100)


def decide(found):
    return ByEvidence().decide(found)


def votes(decision):
    return {criterion.name: criterion.vote for criterion in decision.criteria}


def test_the_plateau_decides(make_evidence):
    decision = decide(make_evidence(HELD))
    assert (decision.strategy, decision.fitted_k, decision.settled_k) == ("evidence", 4, 4)
    assert decision.preference[4] == max(decision.preference.values())
    assert decision.runner_up in decision.preference
    assert votes(decision)[DISTINCT] == 4


def test_the_fit_that_is_used_has_all_components_that_a_bent_grain_needs(make_evidence):
    decision = decide(make_evidence(HELD, [50, 30, 10, 9, 8, 0.1, 0.1]))
    assert (decision.fitted_k, decision.settled_k) == (6, 4)
    assert any("bend" in reason for reason in decision.reasons)


def test_held_out_counts_tip_the_balance_between_numbers_that_settle_alike(make_evidence):
    held = [1, 2, 2, 2, 3, 3, 3, 4]
    two = decide(make_evidence(held, [50, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]))
    three = decide(make_evidence(held, [50, 30, 0.1, 0.1, 0.1, 0.1, 0.1]))
    assert votes(two)[HELD_OUT] == 2
    assert votes(three)[HELD_OUT] == 3
    assert two.preference[2] > three.preference[2]
    assert three.preference[3] > two.preference[3]


def test_every_candidate_is_scored_by_every_criterion(make_evidence):
    loss = [100, 80, 60, 40, 20, 10, 9.9, 9.8]
    found = make_evidence(
        [1, 2, 3, 3, 4, 4, 4, 4],
        [50, 30, 0.1, 0.1, 0.1, 0.1, 0.1],
        loss=loss,
        redundancy=[1, 2, 3, 3, 3, 4, 4, 4],
        spectrum=spectrum(5),
        stability={3: 0.6, 5: 0.9},
    )
    candidates = [c for c in leading_candidates(found) if c.distinct in (3, 4)]
    assert [(c.distinct, c.first) for c in candidates] == [(4, 4), (3, 2)]
    scores = {s.name: s.values for s in score_candidates(found, candidates)}
    assert scores.keys() == WEIGHTS.keys() - {CROSS_VALIDATION}
    np.testing.assert_allclose(scores[DISTINCT], [1, 2 / 6 * min(1, 2 / PLATEAU)])
    np.testing.assert_array_equal(scores[HELD_OUT], [-1, 0])
    np.testing.assert_array_equal(scores[SPECTRUM], [-1, -2])
    # Of the four fits from the first with 4 patterns on, and of the six from that with 3.
    np.testing.assert_allclose(scores[REDUNDANCY], [3 / 4, 3 / 6])
    np.testing.assert_array_equal(scores[STABILITY], [0.9, 0.6])
    assert found.interest.knee == 5
    np.testing.assert_array_equal(scores[KNEE], [-1, -2])
    assert all(s.larger_is_better for s in score_candidates(found, candidates))


def test_missing_evidence_has_no_say(make_evidence):
    skipped = {SPECTRUM: "it needs raw counts", CROSS_VALIDATION: "the filter shares noise"}
    # Without a knee, anything held out, or a second number whose stability was looked at.
    found = make_evidence(HELD, loss=np.ones(8), stability={4: 0.9}, skipped=skipped)
    scores = {s.name: s.values for s in score_candidates(found, leading_candidates(found))}
    for name in (CROSS_VALIDATION, SPECTRUM, REDUNDANCY, STABILITY, KNEE):
        assert np.isnan(scores[name]).any(), name
    decision = decide(found)
    assert decision.fitted_k == 4
    by_name = {c.name: c for c in decision.criteria}
    assert [name for name, c in by_name.items() if c.used] == [DISTINCT]
    assert (by_name[SPECTRUM].vote, by_name[SPECTRUM].why) == (None, "it needs raw counts")
    assert by_name[CROSS_VALIDATION].why == "the filter shares noise"
    assert by_name[REDUNDANCY].why.startswith("no value for some of the numbers")
    assert by_name[KNEE].why == "the loss has no knee"
    assert HELD_OUT not in by_name


def test_what_could_not_be_held_out_is_named_beside_what_took_its_place(make_evidence):
    found = make_evidence(HELD, FOR_FOUR, counts=False, skipped={HELD_OUT: "no counts"})
    by_name = {c.name: c for c in decide(found).criteria}
    assert by_name[CROSS_VALIDATION].used
    assert by_name[CROSS_VALIDATION].vote == 4
    held_out = by_name[HELD_OUT]
    assert (held_out.vote, held_out.used, held_out.why) == (None, False, "no counts")


def test_every_criterion_is_named_once_with_vote_and_margin(make_evidence):
    found = make_evidence(HELD, FOR_FOUR, redundancy=HELD, spectrum=spectrum(7))
    decision = decide(found)
    names = [c.name for c in decision.criteria]
    assert len(set(names)) == len(names)
    by_name = {c.name: c for c in decision.criteria}
    # A criterion may speak for a number that no fit came close to.
    assert 7 not in decision.preference
    assert by_name[SPECTRUM].vote == 7
    assert by_name[REDUNDANCY].vote == by_name[HELD_OUT].vote == 4
    # Five fits of five against one of six, were there no others.
    second = sorted(c.settled for c in leading_candidates(found))[-2]
    assert by_name[DISTINCT].margin == pytest.approx(1 - second)
    assert by_name[HELD_OUT].margin == 1


def test_a_single_number_has_no_runner_up(make_evidence):
    decision = decide(make_evidence([1, 1, 1, 1], [-0.5, -0.3, -0.4]))
    assert (decision.fitted_k, decision.runner_up) == (1, None)
    assert list(decision.preference) == [1]
    assert votes(decision)[DISTINCT] == 1
    assert decision.drop_threshold == 0


def test_the_threshold_of_drops_is_told(make_evidence):
    threshold = decide(make_evidence(HELD, FOR_FOUR)).drop_threshold
    assert threshold == pytest.approx(LEAST_DROP_SHARE * 50)
    assert decide(make_evidence(HELD)).drop_threshold is None


def confidence(found):
    return decide(found).confidence


def test_settled_and_confirmed_twice_is_high(make_evidence):
    assert confidence(make_evidence(HELD, FOR_FOUR, redundancy=HELD)) == "high"
    assert confidence(make_evidence(HELD, FOR_FOUR, spectrum=spectrum(4))) == "high"
    assert confidence(make_evidence(HELD, redundancy=HELD, spectrum=spectrum(4))) == "high"
    assert confidence(make_evidence(HELD, FOR_FOUR, counts=False, redundancy=HELD)) == "high"


def test_where_nothing_else_is_known_a_settled_number_is_moderate(make_evidence):
    assert confidence(make_evidence(HELD)) == "moderate"


def test_a_clear_grouping_is_high_though_components_count_otherwise(make_evidence):
    assert confidence(make_evidence(HELD, FOR_FOUR)) == "high"
    bent = make_evidence(HELD, FOR_TWO, redundancy=HELD, spectrum=spectrum(3))
    assert decide(bent).settled_k == 4
    assert confidence(bent) == "high"


@pytest.mark.parametrize(
    "doubt",
    [
        {"most_apart": ONE_GRAIN - 0.03},
        {"least_joined": ONE_GRAIN + 0.03},
        {"weakest": 2.4},
        {"on_top": 1},
    ],
)
def test_a_doubtful_grouping_is_high_only_where_all_else_agrees(make_evidence, doubt):
    def doubted(found, i):
        components = [*found.components]
        for at in i:
            merged = replace(components[at].merged, **doubt)
            components[at] = replace(components[at], merged=merged)
        return replace(found, components=components)

    bent = make_evidence(HELD, FOR_FOUR, redundancy=HELD, spectrum=spectrum(3))
    agreed = make_evidence(HELD, FOR_FOUR, redundancy=HELD, spectrum=spectrum(4))
    # Two of the five fits that hold it are enough to raise the doubt, one is not.
    assert confidence(doubted(bent, [3])) == "high"
    assert confidence(doubted(bent, [3, 5])) == "moderate"
    assert confidence(doubted(agreed, [3, 4, 5])) == "high"
    # Other numbers have no say.
    assert confidence(doubted(bent, [0, 1, 2])) == "high"


def test_more_that_all_else_names_with_one_voice_is_taken_where_a_fit_holds_it(make_evidence):
    held = [1, 2, 3, 4, 2, 2, 2, 2, 2, 2]
    four = [50, 30, 10, *[0.1] * 6]
    found = make_evidence(held, four, redundancy=[4] * 10, spectrum=spectrum(4))
    best = decide(found)
    assert (best.settled_k, best.fitted_k, best.runner_up) == (4, 4, 2)
    assert best.confidence == "moderate"
    # No fit holds five.
    five = make_evidence(held, [*four[:3], 5, *four[4:]], redundancy=[5] * 10, spectrum=spectrum(5))
    best = decide(five)
    assert (best.settled_k, best.confidence) == (2, "low")


def test_fewer_that_all_else_names_with_one_voice_lower_the_confidence(make_evidence):
    found = make_evidence(HELD, FOR_TWO, redundancy=[2] * 8, spectrum=spectrum(2))
    best = decide(found)
    assert (best.settled_k, best.confidence) == (4, "low")


def test_where_both_counts_name_more_the_grouping_alone_is_not_high(make_evidence):
    six = [60, 50, 40, 30, 20, 10, 0.01]
    less = make_evidence(HELD, FOR_TWO, redundancy=HELD, spectrum=spectrum(3))
    assert confidence(less) == "high"
    for vote, expected in ((3, "high"), (5, "moderate")):
        found = make_evidence(HELD, six, redundancy=HELD, spectrum=spectrum(vote))
        assert confidence(found) == expected


def test_one_that_disagrees_is_heard_where_the_number_has_settled_poorly(make_evidence):
    poorly = [1, 2, 3, 4, 4, 4, 5, 4]  # four of five
    agreed = {"redundancy": HELD, "spectrum": spectrum(4)}
    assert confidence(make_evidence(poorly, FOR_FOUR, **agreed)) == "high"
    agreed["spectrum"] = spectrum(3)
    assert confidence(make_evidence(poorly, FOR_FOUR, **agreed)) == "moderate"
    assert confidence(make_evidence(HELD, FOR_FOUR, **agreed)) == "high"


def test_a_number_that_goes_on_changing_is_moderate_if_confirmed_and_low_if_not(make_evidence):
    twice = [1, 2, 3, 4, 4, 4, 4, 4]
    found = make_evidence(UNSETTLED, FOR_FOUR, redundancy=twice, spectrum=spectrum(4))
    best = decide(found)
    assert (best.settled_k, best.confidence) == (4, "moderate")
    assert confidence(make_evidence(UNSETTLED, loss=np.ones(8))) == "low"
    assert confidence(make_evidence(UNSETTLED, FOR_FOUR, loss=np.ones(8))) == "low"


def test_a_number_reached_at_the_end_of_the_range_is_not_high(make_evidence):
    growing = list(range(1, 9))
    found = make_evidence(growing, [50, 40, 30, 20, 10, 9, 8], redundancy=growing)
    assert confidence(found) != "high"


def test_a_plateau_needs_enough_fits_and_most_of_them(make_evidence):
    def of(held):
        # Everything else speaks for 2.
        drops = [-0.1] * (len(held) - 1)
        found = make_evidence(
            held, drops, first=2, redundancy=[2] * len(held), spectrum=spectrum(2)
        )
        decision = decide(found)
        assert decision.settled_k == 2
        return decision.confidence

    assert of([2] * PLATEAU) == "high"
    assert of([2] * (PLATEAU - 1)) == "moderate"
    most = int(np.ceil(SETTLED_SHARE * 20))
    others = [3, 4, 5, 6] * 5
    assert of([2] * most + others[: 20 - most]) == "high"
    fewer = int(np.ceil(SETTLED_SHARE * 20)) - 1
    assert of([2] * fewer + others[: 20 - fewer]) == "moderate"


def test_metrics_vote_for_the_k_whose_components_are_least_alike(make_evidence):
    # All grow with k: SSIM is smallest at the first k with a pair, GMSD largest at the last.
    decision = decide(make_evidence([1, 2, 2, 2, 2], loss=np.ones(5)))
    by_name = {c.name: c for c in decision.criteria}
    assert (by_name["SSIM"].vote, by_name["GMSD"].vote) == (2, 5)
    assert by_name["SSIM"].margin == pytest.approx(0.01)
    assert not by_name["SSIM"].used


def test_one_pair_of_components_has_no_margin(make_evidence):
    decision = decide(make_evidence([1, 2], loss=[2, 1]))
    assert {c.name: c.margin for c in decision.criteria}["SSIM"] is None


def test_where_no_number_settles_the_counts_decide(make_evidence):
    wild = [1, 2, 3, 4, 5, 5, 7, 4, 8, 7, 4, 6, 5, 9, 6, 8, 7, 9, 2, 6]
    drops = [50, 30, *[0.1] * 17]
    best = decide(make_evidence(wild, drops))
    assert best.settled_k == 3
    (distinct,) = [c for c in best.criteria if c.name == "distinct patterns"]
    assert (distinct.used, distinct.why) == (False, "no number settles")


@pytest.mark.parametrize("positions", [1, 6, 9])
def test_of_a_few_positions_no_number_is_certain(make_evidence, positions):
    drops = [50, 30, 10, 0.1, 0.1, 0.1, 0.1]
    sure = make_evidence(HELD, drops, redundancy=HELD, spectrum=spectrum(4))
    assert decide(sure).confidence == "high"
    assert decide(replace(sure, limits=Limits(280))).confidence == "high"
    few = decide(replace(sure, limits=Limits(positions)))
    assert few.confidence == "low"
    assert few.reasons[0].startswith("Too few positions to count")


@pytest.mark.parametrize("counts", [True, False])
def test_without_reflections_patterns_that_predict_nothing_are_noise(make_evidence, counts):
    held = [1, 1, 2, 2, 2, 2, 2, 2]
    nothing = make_evidence(held, [0.001] + [0.0] * 6, counts=counts, redundancy=[2] * 8)
    bare = [replace(c, merged=replace(c.merged, has_reflections=False)) for c in nothing.components]
    assert decide(nothing).settled_k == 3
    noise = decide(replace(nothing, components=bare))
    assert (noise.settled_k, noise.runner_up) == (1, 2)
    # Kikuchi patterns show no reflections either, but predict what was left out.
    bands = make_evidence(held, [50] + [0.0] * 6, counts=counts, redundancy=[2] * 8)
    assert decide(replace(bands, components=bare)).settled_k == 3
