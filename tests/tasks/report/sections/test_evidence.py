import numpy as np
import pytest

from orimap.tasks.report.sections import evidence


@pytest.mark.parametrize(
    ("decided", "fitted", "background", "said"),
    [
        (3, 3, 0, "The fit used has 3 components, each a distinct pattern."),
        (
            1,
            4,
            2,
            "The fit used has 4 components; 1 distinct pattern is left after merging those that "
            "show the same reflections and setting 2 background components aside.",
        ),
    ],
)
def test_the_decision_says_what_became_of_the_components(decided, fitted, background, said):
    facts = {"decided_k": decided, "fitted_k": fitted, "reasons": '["A reason."]'}
    assert evidence.decision_sentences(facts, background) == [said, "A reason."]


def test_failed_fits_are_named_and_a_stored_reason_is_not_said_twice():
    facts = {
        "decided_k": 2,
        "fitted_k": 3,
        "reasons": ["The fit used has 3 components."],
        "failed_fits": [7, 8],
    }
    assert evidence.decision_sentences(facts, 0) == [
        "The fit used has 3 components.",
        "These fits gave no result: k = 7, 8.",
    ]


def test_components_that_are_all_distinct_beside_a_background_are_not_called_merged():
    facts = {"decided_k": 4, "fitted_k": 3}
    assert evidence.decision_sentences(facts, 0) == [
        "The fit used has 3 components; 4 distinct patterns are told apart in them."
    ]


K = np.arange(1, 7)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ([6, 5, 4, 3, 2, 1], "The loss falls with every further component."),
        (
            [0.31, 0.22, 0.1779, 0.1781, 0.1785, 0.1790],
            "The loss is smallest, 0.178 at k = 3; beyond it does not fall further "
            "(0.179 at k = 6).",
        ),
        (
            [6, 5, 5.5, 4, 4, 3],
            "The loss is smallest at the largest k tried, 6, but does not fall at every step: "
            "not at k = 3, 5.",
        ),
        (
            [1, 2, 3, 4, 5, 6],
            "No further component lowers the loss: it is smallest at k = 1.",
        ),
    ],
    ids=["falls", "rises in the end", "rises between", "only rises"],
)
def test_the_course_of_the_loss_is_that_of_its_numbers(loss, said):
    assert evidence.loss_sentence(K, np.array(loss, float), None) == f"{said} The loss has no knee."


def test_a_fit_without_a_loss_is_left_out_of_its_course():
    loss = np.array([6, 5, np.nan, 3, 2, 1])
    assert evidence.loss_sentence(K, loss, None).startswith("The loss falls with every further")
    assert evidence.loss_sentence(None, None, None) == "The loss has no knee."


@pytest.mark.parametrize(
    ("loss", "steep"),
    [([9, 5, 1, 0.9, 0.8, 0.7], True), ([9, 8.9, 8.8, 5, 3, 1], False),
     ([1, 2, 3, 3, 3, 3], False)],
)  # fmt: skip
def test_a_knee_is_only_said_to_end_a_steep_fall_where_it_does(loss, steep):
    said = evidence.loss_sentence(K, np.array(loss, float), 3)
    assert "Its knee is at 3" in said
    assert ("where it stops falling steeply" in said) == steep


def test_a_knee_that_decided_is_said_to_have():
    loss = np.array([9, 5, 1, 0.9, 0.8, 0.7])
    assert "asked to take the number from it" in evidence.loss_sentence(K, loss, 3, "knee")
    assert "does not decide alone" in evidence.loss_sentence(K, loss, 3, "evidence")


@pytest.mark.parametrize(
    ("distinct", "said"),
    [
        ([1, 2, 3, 4], "In none of the fits was there one to merge: the blue line is the dotted"),
        ([1, 2, 2, 2], "In the fits of 1 to 2 components there was none to merge. Of 4 components, "
         "the most tried, 2 are distinct."),
        ([1, 1, 2, 2], "In the fit of 1 component there was none to merge. Of 4 components"),
        ([-1, -1, 2, 3], "are merged. Of 4 components, the most tried, 3 are distinct."),
    ],
)  # fmt: skip
def test_merging_is_told_as_it_went(distinct, said):
    assert said in evidence.distinct_sentence(np.arange(1, 5), np.array(distinct))


def test_components_that_were_kept_apart_are_not_called_merged():
    said = evidence.distinct_sentence(np.arange(1, 4), np.array([1, 2, 2]), merged=False)
    assert "would be merged; it was asked to keep them apart" in said
    assert "are merged" not in said


def test_what_was_held_out_is_what_the_values_allow():
    assert evidence.held_out_sentence(True, bars=True).startswith("Half of the electrons were")
    assert evidence.held_out_sentence(False, bars=True).startswith("Half of the positions and")
    assert evidence.held_out_sentence(None, bars=True).startswith("Part of the data was")
    assert "bars" in evidence.held_out_sentence(True, bars=True)
    assert "bars" not in evidence.held_out_sentence(True, bars=False)
    assert "do not behave as electron counts" in evidence.no_held_out_sentence(False)
    assert "no counts were held out" in evidence.no_held_out_sentence(True)
    assert "no counts were held out" in evidence.no_held_out_sentence(None)


def test_pairs_say_what_they_tell_of_clusters_only_where_that_is_known():
    assert "name the cluster that a component belongs to" in evidence.pairs_sentence(True, 5)
    assert "do not apply to them" in evidence.pairs_sentence(False, 5)
    unknown = evidence.pairs_sentence(None, 5)
    assert "cluster" not in unknown
    assert "not written out" not in unknown
    assert "Of more than 16 components the values are not written out." in evidence.pairs_sentence(
        None, 17
    )
