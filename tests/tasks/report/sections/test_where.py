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
