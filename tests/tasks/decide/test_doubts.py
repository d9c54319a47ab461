from dataclasses import replace

import pytest

from orimap.tasks.decide.candidates import settled_candidates
from orimap.tasks.decide.doubts import CLOSE_CALL, TURNED, WEAK, doubts, has_turned
from orimap.tasks.decide.grains.group import ONE_GRAIN

HELD = [1, 2, 3, 4, 4, 4, 4, 4]


def asked(make_evidence, fits, **doubt):
    """Evidence for 4 patterns, where some fits are doubtful, and the candidate."""
    found = make_evidence(HELD)
    components = [*found.components]
    for i in fits:
        components[i] = replace(components[i], merged=replace(components[i].merged, **doubt))
    found = replace(found, components=components)
    return found, next(c for c in settled_candidates(found) if c.distinct == 4)


def doubted(make_evidence, fits, **doubt):
    """What is doubtful about them."""
    return doubts(*asked(make_evidence, fits, **doubt))


@pytest.mark.parametrize(
    ("doubt", "none", "words"),
    [
        ("most_apart", ONE_GRAIN - CLOSE_CALL, "nearly as alike as parts of one grain"),
        ("least_joined", ONE_GRAIN + CLOSE_CALL, "nearly as different as grains"),
        ("weakest", WEAK, "hardly stronger than its noise"),
        ("ends_alike", TURNED, "a matter of choice"),
    ],
)
def test_a_close_call_is_named(make_evidence, doubt, none, words):
    assert doubted(make_evidence, [3, 4, 5], **{doubt: none}) == []
    closer = none + (0.001 if doubt == "most_apart" else -0.001)
    (said,) = doubted(make_evidence, [3, 4, 5], **{doubt: closer})
    assert words in said


def test_what_lies_on_top_is_named(make_evidence):
    (said,) = doubted(make_evidence, [4, 5], on_top=1)
    assert "precipitates or a second phase" in said


def test_one_fit_of_five_is_not_heard_and_two_are(make_evidence):
    assert doubted(make_evidence, [7], on_top=1) == []
    assert len(doubted(make_evidence, [6, 7], on_top=1)) == 1
    # Fits that hold another number are not asked.
    assert doubted(make_evidence, [0, 1, 2], on_top=1) == []


def test_doubts_are_named_together(make_evidence):
    assert len(doubted(make_evidence, [3, 4, 5], on_top=2, weakest=0.0)) == 2


def test_where_there_are_no_reflections_there_is_no_grouping_to_doubt(make_evidence):
    assert doubted(make_evidence, [3, 4, 5, 6, 7], on_top=1, has_reflections=False) == []


def test_a_crystal_that_turns_is_told(make_evidence):
    assert has_turned(*asked(make_evidence, [3, 4], ends_alike=TURNED - 0.01))
    assert not has_turned(*asked(make_evidence, [3], ends_alike=TURNED - 0.01))
    assert not has_turned(*asked(make_evidence, [3, 4], on_top=1))
    # So is one that was to be taken apart.
    assert has_turned(*asked(make_evidence, [3, 4], split_bent=True))
