import numpy as np
import pytest

from orimap.tasks.report.sections import where


def test_regularity_and_splitting_are_put_into_words():
    facts = {"positions_moved": 1}
    assert where.map_sentences(facts, {"regularity": 0.0}, np.arange(3)) == []
    (moved,) = where.map_sentences(facts, {"regularity": 0.5}, np.arange(3))
    assert moved.startswith("With a regularity of 0.5, 1 position changed")
    asked = {"split_unconnected": True}
    (split,) = where.map_sentences(facts, asked, np.array([0, 1, 2, 1, 0, 1]))
    assert split == (
        "3 distinct patterns were split into 6 clusters that are each connected in the scan: "
        "1, 5 have the same pattern; 2, 4, 6 have the same pattern."
    )
    (none,) = where.map_sentences(facts, asked, np.arange(2))
    assert none.startswith("No cluster has unconnected parts")


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (1, "1 distinct pattern is not the strongest at any position and was left out of the map."),
        (
            2,
            "2 distinct patterns are not the strongest at any position and were left out of the "
            "map.",
        ),
    ],
)
def test_patterns_without_a_position_are_counted(patterns, said):
    assert where.unplaced_sentence(patterns) == said


def test_positions_that_were_not_measured_are_told_from_those_without_a_pattern():
    measured = np.ones((8, 10), np.uint8)
    assert where.not_measured_sentences(None) == []
    assert where.not_measured_sentences(measured) == []
    measured[7] = 0
    (said,) = where.not_measured_sentences(measured)
    assert said.startswith("10 positions (12 %) were not measured")
    measured[7, 1:] = 1
    assert where.not_measured_sentences(measured)[0].startswith("1 position (1.2 %) was not")


@pytest.mark.parametrize(
    ("decision", "parents", "revised", "said"),
    [
        ({}, [0, 1], False, "Each colour is one distinct pattern"),
        ({}, None, False, "Each colour is one distinct pattern"),
        ({}, [0, 1, 1], False, "Each colour is one cluster; some have the same pattern"),
        ({}, [0, 1], True, "Each colour is one cluster as it was edited"),
        ({"crystal_found": False}, [0], False, "none of them shows a crystal"),
        ({"countable": False}, [0], False, "of so few positions"),
    ],
)
def test_a_colour_is_called_what_it_stands_for(decision, parents, revised, said):
    parents = None if parents is None else np.array(parents)
    assert said in where.colours_sentence(decision, parents, revised=revised)
