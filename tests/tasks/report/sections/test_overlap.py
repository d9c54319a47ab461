import numpy as np

from orimap.tasks.report.sections import overlap


def test_overlaps_that_are_all_certain_are_said_to_be_so():
    facts = {"positions_within_error": 0, "standard_errors_needed": 3.0}
    assert overlap.overlap_sentence(facts).endswith("; here that left none out.")
    assert "; 1 position was not called overlap" in overlap.overlap_sentence(
        facts | {"positions_within_error": 1}
    )
    assert overlap.overlap_sentence({}) == ""


def test_the_position_taken_apart_is_named_with_its_overlap():
    facts = {"position": "[3, 4]", "overlap_ratio": 0.8, "overlap_ratio_error": np.nan}
    assert overlap.decomposition_sentence(facts) == (
        "Row 3, column 4 (counted from 0) is a position where two patterns overlap: the second "
        "share is 0.80 of the first."
    )
    assert overlap.decomposition_sentence({}) == ""


def test_only_the_surest_overlap_is_called_so():
    ratio, error = np.zeros((8, 9)), np.zeros((8, 9))
    ratio[3, 4], error[3, 4] = 0.9, 0.1
    facts = {"position": [3, 4], "overlap_ratio": 0.9, "overlap_ratio_error": 0.1}
    surest = overlap.decomposition_sentence(facts, ratio, error)
    assert "is where two patterns most surely overlap: the second share is 0.90 ± 0.10" in surest
    ratio[0, 0] = 0.85  # more than 0.9 - 0.1
    at_edge = overlap.decomposition_sentence(facts, ratio, error)
    assert "is where, of the positions away from the edges of the scan, two patterns" in at_edge
    error[0, 0] = 0.06
    assert overlap.decomposition_sentence(facts, ratio, error) == surest


def test_a_sum_names_only_its_parts():
    background, fitted = np.zeros((2, 3)), np.ones((2, 3), bool)
    alone = overlap.sum_sentence(background, fitted)
    assert "of what each cluster contributes, and of what is left" in alone
    assert "leaves out" not in alone
    background[0, 0], fitted[1, 1] = 1, False
    said = overlap.sum_sentence(background, fitted)
    assert "of background that belongs to none, and of what is left" in said
    assert "without the pixels that the fit leaves out" in said


def test_a_line_says_whether_it_crosses_and_whether_errors_are_known():
    position = np.stack([np.full(5, 3), np.arange(5)], axis=1)
    known = overlap.line_sentence(position, (3, 4), np.full((5, 2), 0.1))
    assert ", which crosses that position, framed" in known
    assert known.endswith("with standard errors from counting noise.")
    beside = overlap.line_sentence(position, (2, 4), np.full((5, 2), np.nan))
    assert "crosses" not in beside
    assert "error" not in beside
