from dataclasses import replace

import numpy as np
import pytest

from orimap.tasks.decide.decision import (
    Decision,
    knee_sentence,
    level_one_and_two,
    with_guesses,
)
from orimap.tasks.decide.evidence.evidence import METRICS

# A convex loss with its knee at 4, so that 1 to 8 are of interest.
LOSS = [100.0, 60, 30, 10, 9, 8.2, 7.5, 6.9, 6.4, 6.0]
KS = np.arange(1, 11)


@pytest.fixture
def evidence(make_evidence):
    """Evidence of ten fits; ``off`` gives each metric's mean off the diagonal, by k."""

    def of(**off):
        found = make_evidence(np.minimum(KS, 4), loss=LOSS)
        components = []
        for i, c in enumerate(found.components):
            metrics = {
                name: np.full((i + 1, i + 1), off.get(name, np.ones(10))[i]) for name in METRICS
            }
            components.append(replace(c, metrics=metrics))
        return replace(found, components=components)

    return of


@pytest.mark.parametrize("used", [True, False])
def test_the_first_criterion_is_the_knee_with_its_range(evidence, used):
    found = evidence()
    assert found.interest.knee == 4
    first = level_one_and_two(found, used=used)[0]
    assert (first.name, first.vote, first.margin, first.used) == ("knee of the loss", 4, None, used)
    assert first.why == "range of interest 1 to 8"


def test_every_metric_votes_for_the_components_least_alike_within_the_range(evidence):
    # The best of all is at k = 10, outside the range; of what is inside, 5 leads 3.
    falling = np.array([9, 7, 3, 6, 2, 4, 5, 6, 1, 0.0])
    found = level_one_and_two(
        evidence(ssim=falling, psnr=10 * falling, gmsd=-falling, mdsi=10 - falling), used=False
    )
    assert [c.name for c in found[1:]] == [name.upper() for name in METRICS]
    votes = {c.name: (c.vote, c.margin) for c in found[1:]}
    # Low SSIM and PSNR, high GMSD and MDSI.
    assert votes == {
        "SSIM": (5, pytest.approx(1)),
        "PSNR": (5, pytest.approx(10)),
        "GMSD": (5, pytest.approx(1)),
        "MDSI": (5, pytest.approx(1)),
    }
    assert not any(c.used for c in found[1:])


def test_a_single_component_has_no_pairs_to_compare(make_evidence):
    assert [c.name for c in level_one_and_two(make_evidence([1]), used=True)] == [
        "knee of the loss"
    ]


def test_the_only_fit_with_pairs_leads_without_a_margin(make_evidence):
    found = level_one_and_two(make_evidence([1, 2]), used=True)
    assert {(c.vote, c.margin) for c in found[1:]} == {(2, None)}


def test_the_knee_is_put_into_words():
    assert knee_sentence(None) == "The K-component loss has no knee."
    assert knee_sentence(7) == "The K-component loss has its knee at 7."


def test_decisions_share_no_lists():
    one, other = (Decision("knee", 3, "low", None, []) for _ in range(2))
    one.criteria.append("one")
    one.preference[3] = 1.0
    assert (other.criteria, other.preference) == ([], {})
    assert (other.drop_threshold, other.settled_k) == (None, None)


@pytest.mark.parametrize(
    ("confidence", "lowered"), [("high", "moderate"), ("moderate", "moderate"), ("low", "low")]
)
def test_guesses_are_reasons_and_rule_out_high_confidence(confidence, lowered):
    decision = Decision("evidence", 3, confidence, 2, ["It settles at 3.", "It would be settled."])
    found = with_guesses(decision, ("the shape is not said.", "nor is the order"))
    assert found.confidence == lowered
    assert found.reasons[:3] == [
        "Guessed: the shape is not said.",
        "Guessed: nor is the order.",
        "It settles at 3.",
    ]
    last = "But for what was guessed, the confidence would be high."
    assert found.reasons[-1] == (last if confidence == "high" else "It would be settled.")
    assert with_guesses(decision, ()) is decision
