import numpy as np
import pytest

from orimap.tasks.choose_k import STRATEGIES, choose_k
from orimap.tasks.errors import InputError
from orimap.tasks.evidence import METRICS, Components, Evidence
from orimap.tasks.merge import Merged
from orimap.tasks.published import PublishedFits

POSITIONS = 400


def components(k, distinct):
    """The components of one fit: ``distinct`` patterns, the rest joined to the first of them."""
    member = np.minimum(np.arange(k), distinct - 1)
    metrics = {name: np.where(np.eye(k, dtype=bool), 1.0, 0.5 + 0.01 * k) for name in METRICS}
    return Components(metrics, Merged(member, np.eye(k), np.ones(k), True))


def evidence(drops=None, *, first=1, distinct=None, loss=None, spread=0.02):
    """Evidence whose mean held-out deviance falls by ``drops`` from k to k + 1."""
    count = len(drops) + 1 if drops is not None else len(distinct)
    ks = np.arange(first, first + count)
    distinct = ks if distinct is None else np.asarray(distinct)
    deviance = None
    if drops is not None:
        mean = 1000 - np.concatenate([[0], np.cumsum(drops)])
        wobble = np.random.default_rng(0).normal(0, spread, (count, POSITIONS))
        deviance = mean[:, None] + wobble - wobble.mean(axis=1, keepdims=True)
    return Evidence(
        ks,
        1.0 / ks if loss is None else np.asarray(loss, float),
        np.zeros(count),
        2.0,
        np.full(count, 0.3),
        deviance,
        [components(k, d) for k, d in zip(ks, distinct, strict=True)],
        silhouette=np.where(ks > 1, 1.0 / ks, np.nan),
        published=PublishedFits(ks, 1.0 / ks, 1, {name: np.ones((1, 1)) for name in METRICS}),
    )


def by_evidence(found):
    return choose_k(found, "evidence")


def test_the_last_clear_drop_decides():
    decision = by_evidence(evidence([50, 30, 10, -0.1, -0.2, -0.1], distinct=[1, 2, 3, 4, 4, 4, 4]))
    assert decision.fitted_k == 4
    assert decision.confidence == "high"
    assert decision.drop_threshold == pytest.approx(0.5)
    votes = {c.name: c for c in decision.criteria}
    assert votes["held-out counts"].vote == 4
    # Kept 10, refused nothing: against the threshold of .5.
    assert votes["held-out counts"].margin == pytest.approx(20)
    assert votes["distinct patterns"].vote == 4
    assert votes["distinct patterns"].margin == 1


def test_small_drops_below_a_hundredth_of_the_largest_do_not_count():
    assert by_evidence(evidence([50, 30, 0.45, 0.4, 0.3])).fitted_k == 3


def test_a_drop_within_its_error_does_not_count():
    calm, noisy = evidence([50, 1, -1], spread=0.01), evidence([50, 1, -1], spread=30)
    assert (by_evidence(calm).fitted_k, by_evidence(noisy).fitted_k) == (3, 2)


def test_a_late_grain_is_found_after_a_k_that_brings_nothing():
    # The drop is against the best so far, not against the fit before.
    assert by_evidence(evidence([50, -2, 10, -0.1])).fitted_k == 4


def test_clear_drops_without_a_new_pattern_are_bending():
    decision = by_evidence(evidence([50, 30, 9, 8, 0.1], distinct=[1, 2, 3, 3, 3, 3]))
    assert decision.fitted_k == 3
    assert any("bend" in reason for reason in decision.reasons)


def test_noise_alone_leaves_the_first_k():
    decision = by_evidence(evidence([-0.5, -0.3, -0.4], distinct=[1, 1, 1, 1]))
    assert decision.fitted_k == 1
    assert decision.runner_up is None
    assert decision.drop_threshold == 0


def test_the_best_at_the_edge_is_not_high_confidence():
    decision = by_evidence(evidence([50, 40, 30]))
    assert decision.fitted_k == 4
    assert decision.confidence != "high"
    assert any("No fit with more components" in reason for reason in decision.reasons)


def test_a_number_of_patterns_that_goes_on_changing_lowers_the_confidence():
    unsettled = by_evidence(evidence([50, 30, 0.4, 0.3, 0.2], distinct=[1, 2, 3, 4, 5, 4]))
    assert unsettled.fitted_k == 3
    assert unsettled.confidence == "moderate"
    assert unsettled.runner_up == 4
    narrow = by_evidence(evidence([50, 0.9, 0.4, 0.3], distinct=[1, 2, 3, 4, 5]))
    # Kept .9 against a threshold of .5.
    assert (narrow.fitted_k, narrow.confidence) == (3, "low")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("first", [1, 5, 15])
@pytest.mark.parametrize("counts", [True, False])
def test_a_single_k_is_chosen_by_every_strategy(strategy, first, counts):
    found = evidence([] if counts else None, first=first, distinct=[min(first, 3)])
    decision = choose_k(found, strategy)
    assert decision.fitted_k == first
    assert decision.reasons
    assert decision.confidence in ("high", "moderate", "low")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("first", [1, 4, 13])
def test_every_strategy_chooses_among_what_was_fitted(strategy, first):
    found = evidence([50, 30, 1, 0.2, 0.1, 0.1, 0.1], first=first)
    assert first <= choose_k(found, strategy).fitted_k <= first + 7


def test_without_counts_the_smallest_k_with_most_patterns_in_the_range_is_taken():
    loss = [100, 80, 60, 40, 20, 10, 9.9, 9.8, 9.7, 9.6, 9.5, 9.4]
    found = evidence(None, loss=loss, distinct=[1, 2, 3, 4, 5, 5, 6, 6, 6, 6, 7, 8])
    assert (found.interest.low, found.interest.high) == (2, 10)
    decision = by_evidence(found)
    assert decision.fitted_k == 7
    assert decision.runner_up == 5
    assert any("not Poisson counts" in reason for reason in decision.reasons)
    # 4 of the 9 in the range agree.
    assert {c.name: c for c in decision.criteria}["distinct patterns"].margin == pytest.approx(
        4 / 9
    )
    assert decision.confidence == "low"


def test_without_counts_and_without_a_knee_the_confidence_is_low():
    found = evidence(None, loss=np.ones(4), distinct=[1, 2, 2, 2])
    decision = by_evidence(found)
    assert (decision.fitted_k, decision.confidence) == (2, "low")


def test_metrics_vote_for_the_k_whose_components_are_least_alike():
    # SSIM grows with k here, so that the smallest k with a pair has it lowest.
    decision = by_evidence(evidence(None, loss=np.ones(5), distinct=[1, 2, 2, 2, 2]))
    votes = {c.name: c for c in decision.criteria}
    assert votes["SSIM"].vote == 2
    assert votes["SSIM"].margin == pytest.approx(0.01)
    assert votes["GMSD"].vote == 5


def test_one_pair_of_components_has_no_margin():
    decision = by_evidence(evidence(None, loss=[2, 1], distinct=[1, 2]))
    assert {c.name: c.margin for c in decision.criteria}["SSIM"] is None


def test_a_forced_number_keeps_what_the_evidence_says():
    found = evidence([50, 30, 10, -0.1, -0.2, -0.1], distinct=[1, 2, 3, 4, 4, 4, 4])
    decision = choose_k(found, "evidence", forced=2)
    assert (decision.strategy, decision.fitted_k) == ("forced", 2)
    assert decision.runner_up == 4
    assert decision.confidence == "low"
    assert "the evidence speaks for 4" in decision.reasons[0]
    assert choose_k(found, "evidence", forced=4).confidence == "high"


def test_a_forced_number_must_have_been_fitted():
    with pytest.raises(InputError, match="--decided-k 9"):
        choose_k(evidence([50, 30]), "evidence", forced=9)


def test_an_unknown_strategy_is_named_with_those_there_are():
    with pytest.raises(InputError, match="evidence, knee, elbow, silhouette, published"):
        choose_k(evidence([50, 30]), "coin")
