import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orimap.tasks.acquire.formats.stacks.find_lines import (
    Lines,
    find_lines,
    find_pauses,
    pause_beside,
    usual_pauses,
)

MS = 1_000_000


def times_of(lines, *, dwell=MS, pause=5 * MS):
    """Times of frames, with a pause after each line of the given lengths."""
    between = [dwell] * (sum(lines) - 1)
    for end in np.cumsum(lines[:-1]):
        between[end - 1] += pause
    return np.concatenate([[0], np.cumsum(between)]).astype(np.int64)


@given(
    rows=st.integers(3, 30), columns=st.integers(2, 40), dwell=st.integers(100_000, 10 * MS),
    share=st.floats(0.01, 20), jitter=st.integers(0, 300), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_pause_after_every_line_tells_their_length(rows, columns, dwell, share, jitter, seed):
    times = times_of([columns] * rows, dwell=dwell, pause=20_000 + int(share * dwell))
    times += np.random.default_rng(seed).integers(0, jitter + 1, times.size)
    assert find_lines(times) == Lines(0, columns, rows - 1, 0)


@given(interval=st.floats(1e5, 1e8), unit=st.sampled_from([1, 10, 1000, MS]))
def test_the_rounding_of_a_clock_is_no_pause(interval, unit):
    times = np.round(np.arange(400) * max(interval, 2.0 * unit) / unit).astype(np.int64) * unit
    assert find_pauses(times).size == 0
    assert find_lines(times) is None


def test_a_clock_that_stands_still_between_frames_tells_nothing():
    times = np.arange(200) // 10 * 10 * MS
    assert find_lines(times) is None


@pytest.mark.parametrize("place", [7, 33, 110])
def test_one_hiccup_does_not_hide_the_lines(place):
    times = times_of([20] * 14)
    times[place:] += 40 * MS
    assert find_lines(times) == Lines(0, 20, 13, 1)


def test_a_short_first_line_lies_before_the_scan():
    assert find_lines(times_of([6] + [20] * 14)) == Lines(6, 20, 14, 0)


def test_a_line_that_was_not_finished_does_not_hide_the_others():
    assert find_lines(times_of([20] * 9 + [7])) == Lines(0, 20, 9, 0)


def test_one_pause_half_way_tells_two_lines():
    # The 20 µs by which a real scan of 2×4 positions paused between exposures of 0.1 s.
    times = times_of([4, 4], dwell=102 * MS, pause=20_820)
    assert find_lines(times) == Lines(0, 4, 1, 0)
    stalled = times_of([4, 4], pause=40 * MS)
    assert find_lines(stalled) is None


@pytest.mark.parametrize(
    "lines",
    [
        [20],
        [6, 20],  # one pause, and not half-way
        [20, 20, 19, 20, 20],  # a frame was lost
        [20, 40, 20, 20],  # a pause was lost
        [3, 8, 5, 9, 4, 7],
        [6] + [20] * 5 + [7],  # neither end is whole
        [1] * 12,
    ],
)
def test_lines_that_are_not_of_one_length_are_not_believed(lines):
    assert find_lines(times_of(lines)) is None


def test_of_a_longer_scan_the_last_line_may_go_on():
    assert find_lines(times_of([20] * 5 + [7]), to_the_end=False) == Lines(0, 20, 5, 0)
    assert find_lines(times_of([6] + [20] * 5 + [7]), to_the_end=False) == Lines(6, 20, 6, 0)


def test_too_few_times_tell_nothing():
    for count in (0, 1, 2):
        assert find_lines(np.arange(count, dtype=np.int64) * MS) is None


@pytest.mark.parametrize(
    ("lines", "usual", "beside"),
    [
        ([5, 5, 5, 5], 5, None), ([5, 6, 5, 5], None, 11), ([5, 5, 5, 4, 5, 5], 5, 19),
        ([5, 5], None, None), ([7, 4, 9, 3], None, None), ([20], None, None),
    ],
)  # fmt: skip
def test_the_usual_pause_and_those_beside_the_ends_of_lines(lines, usual, beside):
    assert usual_pauses(times_of(lines)) == usual
    assert pause_beside(times_of(lines), 5) == beside
