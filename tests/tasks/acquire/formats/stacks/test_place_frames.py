"""Frames keep their places where some are missing, by their numbers or by their times."""

import numpy as np
import pytest

from orimap.tasks.acquire.formats.stacks.place_frames import (
    Places,
    Spaced,
    describe_numbers,
    places_by_number,
    places_by_time,
    spaced,
    usual_line,
)

COLUMNS, ROWS = 6, 7
LINES = np.arange(ROWS * COLUMNS) * 1000 + np.arange(ROWS * COLUMNS) // COLUMNS * 5000


def without(lost, times=LINES):
    return np.delete(times, lost)


@pytest.mark.parametrize("cut", [slice(0, 9), slice(2, 5), slice(3, 4), slice(5, 9), slice(4, 4)])
def test_a_stack_with_gaps_is_cut_like_any_other(cut):
    frames = np.random.default_rng(0).integers(1, 9, (7, 3, 4))
    at = np.array([0, 2, -1, 4, 5, -1, 8])
    expected = np.zeros((9, 3, 4), int)
    expected[at[at >= 0]] = frames[at >= 0]
    array = Spaced(frames, at, 9)
    assert (array.shape, array.dtype, array.ndim) == ((9, 3, 4), frames.dtype, 3)
    np.testing.assert_array_equal(array[cut], expected[cut])


def test_positions_without_a_frame_have_no_data():
    array, no_data = spaced(np.ones((3, 2, 2)), Places(np.array([0, 3, 4]), "why"), 6)
    np.testing.assert_array_equal(no_data.positions, [False, True, True, False, False, True])
    assert (array.shape, no_data.why) == ((6, 2, 2), "why")


@pytest.mark.parametrize("lost", [[], [5], [1], [5, 6, 30], [2, 9, 17, 18, 40]])
def test_numbers_tell_where_frames_are_missing_by_few_of_them(lost):
    numbers = np.delete(np.arange(1, 1001), lost)
    asked = []

    def number_of(place):
        asked.append(place)
        return int(numbers[place])

    np.testing.assert_array_equal(places_by_number(number_of, len(numbers)), numbers - 1)
    assert len(asked) <= 2 + 12 * len(lost)


@pytest.mark.parametrize("numbers", [[3, 2, 1], [1, 5, 9], [1, 1, 1, 1]])
def test_numbers_that_do_not_count_frames_tell_nothing(numbers):
    assert places_by_number(lambda place: numbers[place], len(numbers)) is None


def test_what_is_missing_is_named_by_its_number():
    assert describe_numbers(np.array([0, 1, 3]), 1, "frame") == (
        "1 frame is missing by the numbers of the others (3)"
    )
    many = describe_numbers(np.array([0, 8]), 10, "image", 5)
    assert many == "7 images are missing by the numbers of the others (15, 20, 25, 30, 35, ...)"


@pytest.mark.parametrize(
    ("lost", "where"),
    [
        ([14], "between frames 14 and 15"),
        ([14, 15], "between frames 14 and 15"),
        ([17], "at the end of row 2"),
        ([18, 19], "at the beginning of row 3"),
        ([2, 40], "between frames 2 and 3, between frames 39 and 40"),
    ],
)
def test_a_rhythm_of_lines_tells_where_frames_are_missing(lost, where):
    found = places_by_time(without(lost), COLUMNS, ROWS * COLUMNS)
    np.testing.assert_array_equal(found.at, np.delete(np.arange(ROWS * COLUMNS), lost))
    assert found.sure
    assert found.evidence.endswith(f"missing by the times of the others, {where}")


def test_no_frame_of_a_line_has_a_place_where_its_times_do_not_tell_which_is_missing():
    times = without([14]).astype(float)
    times[12:17] = np.linspace(times[12], times[16], 5)  # four frames take the time of five
    found = places_by_time(np.rint(times).astype(int), COLUMNS, ROWS * COLUMNS)
    expected = np.delete(np.arange(ROWS * COLUMNS), 14)
    expected[12:17] = -1
    np.testing.assert_array_equal(found.at, expected)
    assert "in row 2, of which no frame has a place" in found.evidence


def test_the_usual_line_is_found_beside_gaps_of_frames():
    assert usual_line(without([14, 20, 21])) == COLUMNS
    assert usual_line(np.arange(9) * 1000) == 1


@pytest.mark.parametrize("there", [41, 30, 25])
def test_whole_lines_tell_that_what_is_missing_is_at_the_end(there):
    found = places_by_time(LINES[:there], COLUMNS, ROWS * COLUMNS)
    np.testing.assert_array_equal(found.at, np.arange(there))
    assert found.evidence == ""


def test_a_gap_in_even_times_is_no_proof():
    times = np.arange(42) * 1000
    found = places_by_time(without([14], times), COLUMNS, 42)
    np.testing.assert_array_equal(found.at, np.delete(np.arange(42), 14))
    assert not found.sure
    assert found.guesses[0].endswith("between frames 14 and 15: they are taken to be missing there")


@pytest.mark.parametrize(
    "times",
    [
        np.arange(41) * 1000,  # as if none were missing
        without([14, 15], np.arange(42) * 1000)[:39],  # and another at the end
        np.concatenate([LINES[:14], LINES[14:41] + 40000]),  # a computer that stalled
        np.concatenate([LINES[:20], LINES[20:28] + 40000]),  # and a scan that was stopped
        without([14], np.arange(42) * 1000 + (np.arange(42) > 30) * 450),
        LINES[:41][::-1],
        LINES[:2],
    ],
)
def test_times_that_do_not_tell_are_not_believed(times):
    assert places_by_time(times, COLUMNS, 42) is None
