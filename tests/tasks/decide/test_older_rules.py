import dataclasses

import numpy as np
import pytest

from orimap.tasks.decide.choose_k import choose_k
from orimap.tasks.decide.components.merge import Merged
from orimap.tasks.decide.evidence.evidence import METRICS, Components, Evidence
from orimap.tasks.decide.evidence.published import PublishedFits
from orimap.tasks.decide.older_rules import elbow

KS = np.arange(1, 11)
BENT = [100, 80, 60, 40, 20, 10, 9.9, 9.8, 9.7, 9.6]


def evidence(ks=KS, loss=None, **extra):
    """Evidence of fits whose components are all distinct."""
    ks = np.asarray(ks)
    alike = [{name: np.full((k, k), 0.5) for name in METRICS} for k in ks]
    return Evidence(
        ks,
        1.0 / ks if loss is None else np.asarray(loss, float),
        np.zeros(len(ks)),
        2.0,
        np.full(len(ks), 0.3),
        None,
        [
            Components(metrics, Merged(np.arange(k), True, np.zeros(k, bool)), np.eye(k))
            for metrics, k in zip(alike, ks, strict=True)
        ],
        **extra,
    )


def votes(decision):
    return {criterion.name: criterion.vote for criterion in decision.criteria}


def test_the_knee_decides_where_it_is_asked_to_and_the_last_k_where_there_is_none():
    assert choose_k(evidence(loss=BENT), "knee").fitted_k == 5
    assert choose_k(evidence(loss=np.ones(10)), "knee").fitted_k == 10


def test_the_elbow_lies_deepest_below_the_chord():
    # From (1, 100) to (10, 9.6): at 5 the loss has fallen by 80 of 90.4 on 4 ninths of the way,
    # at 6 by 90 of them on 5 ninths.
    place, depth = elbow(KS, np.array(BENT))
    assert (place, depth) == (5, pytest.approx(80 / 90.4 - 4 / 9))
    decision = choose_k(evidence(loss=BENT), "elbow")
    assert (decision.fitted_k, decision.confidence) == (5, "low")
    assert votes(decision)["elbow of the loss"] == 5
    assert "elbow at 5, 0.44 below" in decision.reasons[0]


@pytest.mark.parametrize("loss", [21.0 - KS, np.linspace(0.7, 0.3, 10), np.ones(10), KS * 1.0])
def test_a_loss_that_bends_nowhere_has_no_elbow(loss):
    assert elbow(KS, loss) == (None, None)
    decision = choose_k(evidence(loss=loss), "elbow")
    assert decision.fitted_k == 10
    assert "no elbow" in decision.reasons[0]


def test_a_loss_above_its_chord_has_no_elbow():
    assert elbow(KS, 100.0 - KS**2) == (None, None)


def test_the_largest_silhouette_decides():
    found = evidence(silhouette=np.array([np.nan, 0.3, 0.6, 0.7, 0.4, 0.1, 0, 0, -0.1, -0.2]))
    decision = choose_k(found, "silhouette")
    assert (decision.fitted_k, decision.confidence) == (4, "low")
    criterion = decision.criteria[0]
    assert (criterion.vote, criterion.margin) == (4, pytest.approx(0.1))
    assert "largest at 4 (2: 0.30, 3: 0.60, 4: 0.70" in decision.reasons[0]


def test_without_any_silhouette_the_first_k_is_taken():
    decision = choose_k(evidence(ks=[1], silhouette=np.array([np.nan])), "silhouette")
    assert decision.fitted_k == 1
    assert votes(decision)["silhouette"] is None


@pytest.mark.parametrize("strategy", ["silhouette", "published"])
def test_a_strategy_says_what_was_not_gathered_for_it(strategy):
    with pytest.raises(ValueError, match=f"Evidence.{strategy}"):
        choose_k(evidence(), strategy)


def published(**tables):
    """Fits of 3 to 20 whose column means, diagonal included, are extreme at known columns."""
    rng = np.random.default_rng(5)
    metrics = {name: rng.uniform(0.4, 0.6, (12, 12)) for name in METRICS}
    for table in metrics.values():
        np.fill_diagonal(table, 0.5)
    metrics["ssim"][:, 7] = 0.1
    metrics["gmsd"][:, 3] = 0.9
    metrics["mdsi"][:, 3] = 0.9
    metrics["psnr"][:, 9] = 70
    ks = np.arange(3, 21)
    return PublishedFits(ks, np.where(ks < 7, 1.0 - 0.2 * (ks - 3), 0.2), 12, metrics | tables)


def test_the_published_rule_matches_a_worked_fit_of_twelve():
    decision = choose_k(evidence(published=published()), "published")
    assert votes(decision) == {
        "SSIM": 8, "GMSD": 4, "MDSI": 4, "PSNR": 10, "knee of the Kullback-Leibler loss": 7,
    }  # fmt: skip
    assert (decision.fitted_k, decision.confidence) == (4, "low")
    assert decision.criteria[-1].why == "range of interest 3 to 11"
    assert "one Kullback-Leibler fit of 12 components" in decision.reasons[0]
    assert "orimap's own fit of 4 components" in decision.reasons[2]


def test_the_published_rule_counts_the_diagonal():
    table = published().metrics["ssim"]
    # Off the diagonal column 7 is lowest by far; the diagonal lifts it above the others.
    np.fill_diagonal(table, 0.0)
    table[7, 7] = 12
    assert published(ssim=table).votes()["ssim"] != 8


def test_ties_of_the_published_rule_go_to_ssim():
    table = published().metrics["mdsi"]
    table[:, 3], table[:, 5] = 0.5, 0.9
    assert choose_k(evidence(published=published(mdsi=table)), "published").fitted_k == 8


def test_the_published_rule_does_without_ssim_where_patterns_are_too_small():
    fits = published(ssim=np.full((12, 12), np.nan))
    decision = choose_k(evidence(published=fits), "published")
    assert "SSIM" not in votes(decision)
    assert decision.fitted_k == 4


@pytest.mark.parametrize(("ks", "taken"), [([1, 2], 2), ([6, 7, 8], 6)])
def test_maps_are_drawn_from_the_fit_nearest_to_what_the_published_rule_names(ks, taken):
    decision = choose_k(evidence(ks=ks, published=published()), "published")
    assert decision.fitted_k == taken
    assert decision.reasons[0].startswith("The published rule names 4.")
    assert f"fit of {taken} components, the nearest to 4 that there is" in decision.reasons[2]


def test_a_single_published_fit_votes_for_itself():
    fits = dataclasses.replace(
        published(),
        ks=np.array([1]),
        loss=np.array([0.5]),
        paired_k=1,
        metrics={name: np.ones((1, 1)) for name in METRICS},
    )
    assert choose_k(evidence(published=fits), "published").fitted_k == 1
