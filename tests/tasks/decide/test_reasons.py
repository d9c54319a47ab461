from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.decide.candidates import PLATEAU, settled_candidates
from orimap.tasks.decide.components.merge import Merged
from orimap.tasks.decide.evidence.evidence import Limits
from orimap.tasks.decide.evidence.spectrum import BiWhitened
from orimap.tasks.decide.reasons import (
    BENT,
    CROSS_VALIDATION,
    HELD_OUT,
    REDUNDANCY,
    SPECTRUM,
    merging_sentence,
    reasons_of,
)

HELD = [1, 2, 3, 4, 4, 4, 4, 4]


def reasons(found, number, votes=None, confidence="high", other=None):
    """What is said of a number, and of a runner-up."""
    by_number = {c.distinct: c for c in settled_candidates(found)}
    return reasons_of(
        found, by_number[number], votes or {}, confidence, by_number[other] if other else None
    )


def starting(sentences, start):
    """The one sentence that starts so."""
    (sentence,) = [s for s in sentences if s.startswith(start)]
    return sentence


def test_it_begins_with_where_the_number_settles(make_evidence):
    said = reasons(make_evidence(HELD), 4)
    assert said[0] == (
        "The number of distinct patterns settles at 4: all 5 fits with 4 to 8 components hold it."
    )
    said = reasons(make_evidence([1, 2, 3, 3, 4, 3, 3]), 3)
    assert said[0] == (
        "The number of distinct patterns settles at 3: 4 of the 5 fits with 3 to 7 components "
        "hold it."
    )


@pytest.mark.parametrize(("number", "word"), [(1, "pattern"), (3, "patterns")])
def test_a_number_that_only_the_largest_fit_holds_settles_nowhere(make_evidence, number, word):
    said = reasons(make_evidence([number], first=number), number)
    assert said[0] == (
        f"The fit with {number} component{'s' if number > 1 else ''}, the largest, holds {number} "
        f"distinct {word}."
    )


def merged_into(make_evidence, member, background, *, reflections=True):
    """The sentence on one fit whose components were merged so."""
    found = make_evidence([1], first=len(member))
    merged = Merged(np.array(member), reflections, np.array(background))
    components = [replace(found.components[0], merged=merged)]
    return merging_sentence(replace(found, components=components), 0)


def test_what_became_of_every_component_is_counted(make_evidence):
    # One without reflections, two left over, two distinct patterns, five joined to them.
    member = [-1, -1, -1, 0, 0, 0, 1, 1, 1, 1]
    assert merged_into(make_evidence, member, [True] + 9 * [False]) == (
        "The fit used has 10 components: 1 shows no reflections, 2 are left-over noise or "
        "mixtures, 5 are further parts of grains that bend, vary in thickness or drift; "
        "2 distinct patterns."
    )


def test_one_of_each_is_said_in_the_singular(make_evidence):
    said = merged_into(make_evidence, [-1, -1, -1, 0, 0], [True, True] + 3 * [False])
    assert said == (
        "The fit used has 5 components: 2 show no reflections, 1 is left-over noise or a mixture, "
        "1 is a further part of grains that bend, vary in thickness or drift; "
        "1 distinct pattern."
    )
    assert merged_into(make_evidence, [0], [False]) == (
        "The fit used has 1 component: 1 distinct pattern."
    )


def test_a_fit_without_reflections_is_said_to_be_one(make_evidence):
    said = merged_into(make_evidence, [0, 1], 2 * [False], reflections=False)
    assert said == (
        "The fit used has 2 components, none with reflections, so that background could not be "
        "told apart: 2 distinct patterns."
    )


def held_out(found, number, vote):
    name = HELD_OUT if found.deviance is not None else CROSS_VALIDATION
    return [
        s
        for s in reasons(found, number, {name: vote})
        if s.startswith(("Held-out", "Cross-val", "No further")) or " further component" in s
    ]


def test_held_out_counts_say_how_clear_their_vote_is(make_evidence):
    found = make_evidence(HELD, [50, 30, 10, 0.1, 0.2, -0.1, 0.1], spread=0.0)
    assert held_out(found, 4, 4) == [
        "Held-out counts speak for 4 components; component 4, with which 4 patterns are there for "
        "the first time, lowers the deviance by 20 % of the largest step.",
        "No further one lowers it clearly: by 0.4 % at most.",
    ]


def test_cross_validation_speaks_for_itself(make_evidence):
    found = make_evidence([1, 2, 2, 2], [50, -1, -1], counts=False)
    assert held_out(found, 2, 2) == [
        "Cross-validation speaks for 2 components; component 2, with which 2 patterns are there "
        "for the first time, lowers the error by 100 % of the largest step.",
        "No further one lowers it clearly: by 0 % at most.",
    ]


def test_clear_drops_beyond_are_said_to_be_bending_or_drift(make_evidence):
    one = held_out(make_evidence([1, 2, 2, 2], [50, 10, -1]), 2, 2)
    assert one[1:] == [
        "1 further component lowers the deviance clearly, by 20 % of the largest step without "
        "being a new pattern: grains bend, or patterns drift over the scan."
    ]
    single = held_out(make_evidence([1, 1, 1, 1], [50, 10, -1], counts=False), 1, 1)
    assert single == [
        "Cross-validation speaks for 1 component.",
        "2 further components lower the error clearly, by up to 100 % of the largest step without "
        "being a new pattern: grains bend, or patterns drift over the scan.",
    ]


def test_what_is_said_of_clear_drops_holds_beside_each_other(make_evidence):
    # The step with which the number is there is small beside those that follow, and one of these
    # brings another pattern.
    found = make_evidence([1, 2, 2, 3, 3, 4, 3, 3], [50, 30, 2, 3, 2.5, 0, 0], spread=0.0)
    said = held_out(found, 3, 2)
    assert "component 4, with which 3 patterns are there for the first time" in said[0]
    assert said[0].endswith("by 4 % of the largest step.")
    assert said[1] == (
        "2 further components lower the deviance clearly, by up to 6 % of the largest step; 1 of "
        "them without being a new pattern."
    )
    assert len(said) == 2
    other = held_out(replace(found, components=make_evidence([1, 2, 2, 3, 4, 4, 3, 3]).components),
                     3, 2)  # fmt: skip
    assert other[1].endswith("by up to 6 % of the largest step.")


def test_a_number_that_raises_the_deviance_lowers_it_by_nothing(make_evidence):
    found = make_evidence(HELD, [50, 30, -10, -20, -5, -5, -5])
    assert held_out(found, 4, 3)[0].endswith("lowers the deviance by nothing.")


def test_held_out_counts_that_nothing_predicts_better_say_so(make_evidence):
    assert held_out(make_evidence([1, 1, 1], [-0.5, -0.3]), 1, 1) == [
        "Held-out counts: no further component predicts what the fits did not see any better."
    ]
    assert held_out(make_evidence(HELD), 4, None) == []


def test_the_other_evidence_is_said_where_it_is_known(make_evidence):
    values = np.array([100.0, 8, 8, 2, 2])
    found = make_evidence(
        HELD,
        redundancy=HELD,
        spectrum=BiWhitened(5, values, 1.0, False, 400, 100),
        stability={4: 0.912, 3: 0.35},
    )
    said = reasons(found, 4, {REDUNDANCY: 4})
    assert starting(said, "Spectrum") == (
        "Spectrum of the counts: 5 directions stand out from counting noise; the largest step "
        "down, by a factor of 4, comes after 3."
    )
    assert starting(said, "Redundancy").endswith("most fits hold 4.")
    assert starting(said, "Stability").endswith(
        "by 0.91 for 4 patterns (4 components), which was decided; 0.35 for 3 patterns "
        "(3 components)."
    )
    assert not any(s.startswith("By this alone") for s in said)
    capped = replace(found, spectrum=BiWhitened(5, values, 1.0, True, 400, 100))
    assert ": at least 5 directions" in starting(reasons(capped, 4), "Spectrum")
    bare = reasons(make_evidence(HELD), 4)
    assert not any(s.startswith(("Spectrum", "Redundancy", "Stability")) for s in bare)
    # A single direction has no step down.
    single = BiWhitened(1, np.array([9.0, 0.5]), 1.0, False, 400, 100)
    assert not any(
        s.startswith("Spectrum") for s in reasons(make_evidence([1], spectrum=single), 1)
    )


def test_stability_names_what_was_decided_and_says_where_it_speaks_for_another(make_evidence):
    found = make_evidence([1, 2, 2, 3, 3, 3], stability={2: 0.92, 4: -0.05})
    said = reasons(found, 3)
    at = said.index(starting(said, "Stability"))
    assert said[at].endswith(
        "by -0.05 for 3 patterns (4 components), which was decided; 0.92 for 2 patterns "
        "(2 components)."
    )
    assert said[at + 1].startswith("By this alone another number would be taken")
    unasked = reasons(replace(found, stability={2: 0.92}), 3)
    assert unasked[unasked.index(starting(unasked, "Stability")) + 1] == (
        "3 patterns were not fitted so."
    )


def test_directions_beyond_the_patterns_are_explained(make_evidence):
    def after(rank, number):
        values = np.array([*np.linspace(90, 50, rank), 2, 2])
        spectrum = BiWhitened(rank, values, 1.0, False, 400, 100)
        said = reasons(make_evidence(HELD, spectrum=spectrum), number)
        return said[said.index(starting(said, "Spectrum")) + 1]

    assert after(6, 4).startswith("That is 2 more than patterns: a pattern that changes within")
    assert after(13, 4).startswith("That is more than 3 directions a pattern: grains bend")
    assert not after(4, 4).startswith("That is")
    assert not after(3, 4).startswith("That is")


def test_what_the_data_did_not_allow_is_named_with_its_reason(make_evidence):
    skipped = {"spectrum": "it needs raw counts", "held-out counts": "the values are not counts"}
    said = reasons(make_evidence(HELD, skipped=skipped), 4)
    assert "Spectrum was left out: it needs raw counts." in said
    assert "Held-out counts were left out: the values are not counts." in said


def test_the_runner_up_and_what_would_settle_it_are_said_unless_all_is_clear(make_evidence):
    found = make_evidence([1, 1, 1, 2, 2, 2, 2, 2])
    doubt = reasons(found, 2, confidence="moderate", other=1)[-1]
    assert doubt == (
        "Runner-up: 1 distinct pattern (--distinct 1 shows it). It would be settled by more "
        "electrons a pattern, or summing detector pixels (--bin 2)."
    )
    clear = reasons(found, 2, other=1)
    assert clear[-1] == "Runner-up: 1 distinct pattern (--distinct 1 shows it)."
    assert not any("Runner-up" in s for s in reasons(found, 2))
    low = reasons(found, 1, confidence="low", other=2)[-1]
    assert low.startswith("Runner-up: 2 distinct patterns (--distinct 2 shows them).")


def test_near_the_end_of_the_range_more_components_would_settle_it(make_evidence):
    held = list(range(1, 9 - PLATEAU + 1)) + [9 - PLATEAU + 1] * (PLATEAU - 1)
    found = make_evidence(held)
    settling = f"To be sure, fit more components, for instance --k {found.ks[0]}:16."
    near = reasons(found, held[-1], confidence="low", other=1)[-1]
    assert near.endswith(settling)
    assert not reasons(found, 2, confidence="low", other=1)[-1].endswith(settling)


@pytest.mark.parametrize(
    ("limits", "settled_by"),
    [
        (Limits(280), "To be sure, fit more components, for instance --k 1:40."),
        (Limits(30), "To be sure, fit more components, for instance --k 1:29."),
        # The scan has been fitted as far as it goes: a wider range is not to be had.
        (Limits(21, more_components=False), "settled by a scan of more positions."),
        (
            Limits(280, more_components=False),
            "settled by more electrons a pattern, or summing detector ",
        ),
        (Limits(9), "settled by a scan of more positions."),
    ],
)
def test_what_would_settle_it_can_be_done(make_evidence, limits, settled_by):
    found = make_evidence(list(range(1, 21)), limits=limits)
    said = reasons(found, 20, confidence="low", other=19)[-1]
    assert settled_by in said
    assert ("--k " in said) is (limits.more_components and limits != Limits(9))


@pytest.mark.parametrize(
    ("next_bin", "settled_by"),
    [(4, "more electrons a pattern, or summing detector pixels (--bin 4)."),
     (None, "more electrons a pattern.")],
)  # fmt: skip
def test_pixels_are_to_be_summed_only_where_there_are_more_to_sum(
    make_evidence, next_bin, settled_by
):
    found = make_evidence([1, 1, 1, 2, 2, 2, 2, 2], limits=Limits(280, next_bin=next_bin))
    assert reasons(found, 2, confidence="low", other=1)[-1].endswith(f"settled by {settled_by}")


def test_too_few_positions_come_before_all_other_reasons(make_evidence):
    said = reasons(make_evidence(HELD, limits=Limits(6)), 4, confidence="low")
    assert said[0].startswith("Too few positions to count: 6 of the 12 ")
    assert not any(s.startswith("Too few") for s in reasons(make_evidence(HELD), 4))


def test_a_single_number_has_no_runner_up(make_evidence):
    said = reasons(make_evidence([2, 2, 2], first=2), 2, confidence="low")[-1]
    assert said == (
        "No fit holds another number. It would be settled by more electrons a pattern, or summing "
        "detector pixels (--bin 2)."
    )


def test_where_grains_bend_the_borders_would_settle_it(make_evidence):
    found = make_evidence([1, 2, 3, 3, 3, 4, 4, 4], [50, 30, 9, 8, 8, 7, 6])
    doubt = reasons(found, 3, {HELD_OUT: 4}, confidence="low", other=4)[-1]
    assert "the borders on the map" in doubt
    assert "--bin" not in doubt


def changed(found, **merged):
    """Evidence of which every fit is grouped with these findings."""
    parts = [replace(c, merged=replace(c.merged, **merged)) for c in found.components]
    return replace(found, components=parts)


def test_a_crystal_that_bends_is_named_with_what_its_parts_have_in_common(make_evidence):
    joined = np.array([0, 0, 0, 1])
    found = changed(make_evidence(HELD), component_cluster=joined, ends_alike=0.27)
    (said,) = [s for s in reasons(found, 2) if s.startswith("A crystal bends")]
    assert said.endswith("have 27 % of their reflections in common.")
    for merged in ({"ends_alike": BENT}, {"has_reflections": False}):
        told = reasons(changed(found, **merged), 2)
        assert not any(s.startswith("A crystal bends") for s in told)


def test_high_confidence_beside_other_votes_is_explained(make_evidence):
    def clear(votes, confidence="high"):
        told = reasons(make_evidence(HELD), 4, votes, confidence=confidence)
        return any(s.startswith("The grouping itself is clear") for s in told)

    assert clear({HELD_OUT: 2, SPECTRUM: 4})
    assert not clear({HELD_OUT: 4, SPECTRUM: None})
    assert not clear({HELD_OUT: 2}, "moderate")


def test_what_lies_on_top_is_to_be_looked_for_in_the_shares(make_evidence):
    found = changed(make_evidence(HELD), on_top=1)
    assert "a look at the shares" in reasons(found, 4, confidence="moderate")[-1]


def test_without_a_crystal_that_comes_first(make_evidence):
    found = changed(make_evidence([1] * 8), has_reflections=False)
    assert reasons(found, 1)[0].startswith("No fit shows reflections")


def test_that_all_counting_names_more_is_doubtful_where_it_lowers_the_confidence(make_evidence):
    def doubted(votes, confidence="moderate"):
        told = reasons(make_evidence(HELD), 4, votes, confidence=confidence)
        return [s.split(":")[1].strip() for s in told if s.startswith("Doubtful: ")]

    both = "held-out counts and the spectrum both name more"
    assert doubted({HELD_OUT: 5, SPECTRUM: 11}) == [both]
    assert doubted({CROSS_VALIDATION: 5, SPECTRUM: 11}) == [
        "cross-validation and the spectrum both name more"
    ]
    # Where the noise is not known well enough for the spectrum, unseen blocks are all there is.
    assert doubted({CROSS_VALIDATION: 5, SPECTRUM: None}) == ["cross-validation names more"]
    assert doubted({CROSS_VALIDATION: 5, SPECTRUM: 4}) == []
    assert doubted({CROSS_VALIDATION: 4}) == doubted({CROSS_VALIDATION: None}) == []
    assert doubted({HELD_OUT: 5, SPECTRUM: 4}) == doubted({HELD_OUT: 5, SPECTRUM: None}) == []
    assert doubted({HELD_OUT: 5, SPECTRUM: 11}, "high") == []
