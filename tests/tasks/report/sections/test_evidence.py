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
