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
        "Row 3, column 4 (counted from 0) is where two patterns most surely overlap: the second "
        "share is 0.80 of the first."
    )
    assert overlap.decomposition_sentence({}) == ""
