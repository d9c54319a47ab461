from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.decide.choose_k import STRATEGIES, choose_k, not_merged, with_distinct
from orimap.tasks.decide.evidence.evidence import Limits
from orimap.tasks.errors import InputError


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("first", [1, 5, 15])
@pytest.mark.parametrize("counts", [True, False])
def test_a_single_k_is_chosen_by_every_strategy(make_evidence, strategy, first, counts):
    found = make_evidence([min(first, 3)], [] if counts else None, first=first)
    decision = choose_k(found, strategy)
    assert decision.fitted_k == first
    assert decision.reasons
    assert decision.confidence in ("high", "moderate", "low")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("first", [1, 4, 13])
def test_every_strategy_chooses_among_what_was_fitted(make_evidence, strategy, first):
    found = make_evidence(np.arange(first, first + 8), [50, 30, 1, 0.2, 0.1, 0.1, 0.1], first=first)
    assert first <= choose_k(found, strategy).fitted_k <= first + 7


SETTLED = [1, 2, 3, 4, 4, 4, 4]


def test_a_forced_number_keeps_what_the_evidence_says(make_evidence):
    found = make_evidence(SETTLED, [50, 30, 10, -0.1, -0.2, -0.1], redundancy=SETTLED)
    decision = choose_k(found, "evidence", forced=2)
    assert (decision.strategy, decision.fitted_k) == ("forced", 2)
    assert decision.runner_up == 4
    assert decision.confidence == "low"
    assert "the evidence speaks for 4" in decision.reasons[0]
    by_evidence = choose_k(found, "evidence")
    kept, own = (
        [r for r in reasons if not r.startswith("The fit used has")]
        for reasons in (decision.reasons[1:], by_evidence.reasons)
    )
    assert kept == own
    assert "The fit used has 2 components: 2 distinct patterns." in decision.reasons
    assert choose_k(found, "evidence", forced=4).confidence == by_evidence.confidence == "high"


def test_a_number_of_patterns_that_was_asked_for_is_set_against_the_evidence(make_evidence):
    found = make_evidence(SETTLED, [50, 30, 10, -0.1, -0.2, -0.1], redundancy=SETTLED)
    own = choose_k(found, "evidence")
    how = {"how": "It was so.", "by_itself": True}
    same = with_distinct(own, found, 4, fitted_k=own.fitted_k, **how)
    assert (same.strategy, same.fitted_k, same.confidence) == ("forced", own.fitted_k, "high")
    assert same.reasons[0] == (
        "4 distinct patterns were asked for; the evidence speaks for that number, too."
    )
    other = with_distinct(own, found, 2, fitted_k=2, **how)
    assert (other.fitted_k, other.confidence, other.runner_up) == (2, "low", 4)
    assert other.reasons[:2] == [
        "2 distinct patterns were asked for; the evidence speaks for 4.",
        "It was so.",
    ]
    assert "The fit used has 2 components: 2 distinct patterns." in other.reasons
    changed = with_distinct(own, found, 6, fitted_k=7, how="It was changed.", by_itself=False)
    assert not any(reason.startswith("The fit used has") for reason in changed.reasons)


def test_what_is_not_merged_says_what_merging_would_leave(make_evidence):
    own = choose_k(make_evidence(SETTLED), "evidence")
    kept = not_merged(own, own.fitted_k, 4)
    assert (kept.strategy, kept.confidence, kept.runner_up) == ("forced", "low", 4)
    assert f"each of the {own.fitted_k} components" in kept.reasons[0]
    assert "as usual there would be 4" in kept.reasons[0]


def test_a_forced_number_must_have_been_fitted(make_evidence):
    with pytest.raises(InputError, match="--components 9"):
        choose_k(make_evidence([1, 2, 3]), "evidence", forced=9)


def test_an_unknown_strategy_is_named_with_those_there_are(make_evidence):
    with pytest.raises(InputError, match="evidence, knee, elbow, silhouette, published"):
        choose_k(make_evidence([1, 2, 3]), "coin")


def test_what_was_guessed_of_the_file_keeps_confidence_from_being_high(make_evidence):
    found = make_evidence(SETTLED, [50, 30, 10, -0.1, -0.2, -0.1], redundancy=SETTLED)
    sure = choose_k(found, "evidence")
    guess = "the file does not say its shape; read as 4×5 (--scan-shape overrides)"
    guessed = choose_k(replace(found, limits=Limits(280, guesses=(guess,))), "evidence")
    assert (sure.confidence, guessed.confidence) == ("high", "moderate")
    assert guessed.fitted_k == sure.fitted_k
    assert guessed.reasons[0] == f"Guessed: {guess}."
    forced = choose_k(replace(found, limits=Limits(280, guesses=(guess,))), "evidence", forced=4)
    assert forced.confidence == "moderate"
    assert "asked for" in forced.reasons[0]
    assert forced.reasons[1] == f"Guessed: {guess}."
