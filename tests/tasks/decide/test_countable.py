from dataclasses import replace

import pytest

from orimap.tasks.decide.candidates import clear_drops
from orimap.tasks.decide.components.coherence import FEWEST_POSITIONS
from orimap.tasks.decide.countable import (
    FEWEST_TO_COUNT,
    predicts_nothing,
    shows_crystal,
    why_not_countable,
)
from orimap.tasks.decide.evidence.evidence import Limits

NOTHING, TWO = [0.001, 0.0, -0.001], [50, 0.1, 0.1]


def without_reflections(found):
    """Evidence of which no fit shows reflections."""
    parts = [replace(c, merged=replace(c.merged, has_reflections=False)) for c in found.components]
    return replace(found, components=parts)


@pytest.mark.parametrize(
    ("positions", "countable"),
    [(1, False), (6, False), (FEWEST_TO_COUNT - 1, False), (FEWEST_TO_COUNT, True), (280, True)],
)
def test_a_handful_of_positions_is_too_few(make_evidence, positions, countable):
    found = make_evidence([1, 2, 2, 2], TWO, limits=Limits(positions))
    why = why_not_countable(found, 1)
    assert (why == "") is countable
    if not countable:
        assert why.startswith(f"Too few positions to count: {positions} of the {FEWEST_TO_COUNT} ")


def test_where_the_number_of_positions_is_not_known_nothing_is_said(make_evidence):
    assert why_not_countable(make_evidence([1, 2, 2, 2], TWO), 1) == ""


@pytest.mark.parametrize(
    ("drops", "reflections", "i", "positions", "countable"),
    [
        # Neither reflections nor anything left out speaks for several patterns.
        (None, False, 1, FEWEST_POSITIONS - 1, False),
        (None, False, 1, FEWEST_POSITIONS, True),
        (None, False, 0, FEWEST_POSITIONS - 1, True),
        (None, True, 1, FEWEST_POSITIONS - 1, True),
        (TWO, False, 1, FEWEST_POSITIONS - 1, True),
    ],
)
def test_of_few_positions_something_has_to_bear_out_the_number(
    make_evidence, drops, reflections, i, positions, countable
):
    found = make_evidence([1, 2, 2, 2], drops, limits=Limits(positions))
    found = found if reflections else without_reflections(found)
    assert (why_not_countable(found, i) == "") is countable


def test_without_reflections_several_patterns_are_a_crystal_where_they_predict_something(
    make_evidence,
):
    kikuchi = without_reflections(make_evidence([1, 2, 2, 2], TWO, limits=Limits(280)))
    noise = without_reflections(make_evidence([1, 2, 2, 2], NOTHING, limits=Limits(280)))
    few = without_reflections(make_evidence([1, 2, 2, 2], limits=Limits(9)))
    # The second fit holds two patterns, the first one.
    assert [shows_crystal(each, 1) for each in (kikuchi, noise, few)] == [True, False, False]
    assert not shows_crystal(kikuchi, 0)
    assert shows_crystal(make_evidence([1, 2, 2, 2], NOTHING), 0)


def test_fits_predict_something_unless_all_from_one_component_on_say_they_do_not(make_evidence):
    assert predicts_nothing(make_evidence([1, 2, 2, 2], NOTHING))
    assert predicts_nothing(make_evidence([1, 2, 2, 2], NOTHING, counts=False))
    assert not predicts_nothing(make_evidence([1, 2, 2, 2], TWO))
    # Nothing was left out; what a second component adds is not known.
    assert not predicts_nothing(make_evidence([1, 2, 2, 2]))
    assert not predicts_nothing(make_evidence([2, 2, 2, 2], NOTHING, first=2))
    assert not predicts_nothing(make_evidence([1], []))


def test_what_is_likely_and_not_yet_clear_still_predicts_something(make_evidence):
    # About three standard errors of a drop: below what counts as clear, above chance.
    found = make_evidence([1, 2, 2, 2], [0.0035, 0.0, 0.0])
    drop, error = found.held_out_drops()
    assert 2 < drop[1] / error[1] < 4
    assert not clear_drops(found).any()
    assert not predicts_nothing(found)
