"""Find frames that are missing within a scan, and keep the others in their places.

A frame that a computer lost moves all that follow by one position, which shears the map. Numbers
that frames bear tell where one is missing. So does the time: where there is room for another frame
between two, or where the beam flies back after a line that is too short.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.chunked.no_data import NoData
from orimap.tasks.acquire.formats.stacks.find_lines import find_pauses

# Numbers that skip more frames than there are count something else.
MOST_MISSING = 1.0
# Times of frames, and those of lines, agree up to this part of the time between two frames.
TOLERANCE = 0.25
# So many of the positions that lack a frame are named.
MOST_NAMED = 5


@dataclass(frozen=True)
class Places:
    """Where frames belong.

    Parameters
    ----------
    at : (frames,) array of int
        Ascending, from the first position that frames are for; -1 where that is not known.
    evidence : str
        What tells, for people; empty where none is missing before the last.
    sure : bool
        Nothing else would look the same.
    awaited : tuple of str
        Names of files with patterns that are missing.
    """

    at: np.ndarray
    evidence: str
    sure: bool = True
    awaited: tuple[str, ...] = ()

    @property
    def guesses(self) -> tuple[str, ...]:
        """What is guessed, for people."""
        return () if self.sure else (f"{self.evidence}: they are taken to be missing there",)


class Spaced:
    """A stack of patterns with room for those that are missing, which are read as zeros.

    Parameters
    ----------
    array : array-like
        The patterns that are there, (pattern, detector_y, detector_x).
    at : (pattern,) array of int
        Where each belongs, ascending; -1 for those that belong nowhere.
    length : int
        Positions in all.
    """

    def __init__(self, array: Any, at: np.ndarray, length: int) -> None:
        self._array, self._known = array, np.flatnonzero(at >= 0)
        self._at = at[self._known]
        self.shape = (length, *array.shape[1:])
        self.dtype, self.ndim = array.dtype, 3

    def __getitem__(self, cut: slice) -> np.ndarray:
        """Read the patterns of a slice along the first axis."""
        start, stop, _ = cut.indices(self.shape[0])
        patterns = np.zeros((stop - start, *self.shape[1:]), self.dtype)
        first, last = np.searchsorted(self._at, [start, stop])
        if first < last:
            here = self._known[first:last]
            found = self._array[int(here[0]) : int(here[-1]) + 1]
            if hasattr(found, "compute"):
                found = found.compute(scheduler="synchronous")
            patterns[self._at[first:last] - start] = found[here - here[0]]
        return patterns


def spaced(array: Any, places: Places, length: int = 0) -> tuple[Spaced, NoData]:
    """Return a stack with its patterns in their places, and which positions have none.

    Parameters
    ----------
    array : array-like
        (pattern, detector_y, detector_x)
    places : Places
    length : int
        Positions in all, at least; up to the last pattern if that is more.
    """
    length = max(length, int(places.at.max()) + 1)
    empty = np.ones(length, bool)
    empty[places.at[places.at >= 0]] = False
    none = np.zeros(array.shape[1:], np.int64)
    nothing = NoData(empty[None], none, places.evidence, places.awaited)
    return Spaced(array, places.at, length), nothing


def places_by_number(number_of: Callable[[int], int], frames: int) -> np.ndarray | None:
    """Return where frames belong by the numbers that they bear.

    Parameters
    ----------
    number_of : callable
        Returns the number of one frame. Few are asked for: numbers that follow each other at both
        ends of a stretch are believed in between.
    frames : int

    Returns
    -------
    (frames,) array of int, or None
        Counted from the first frame; None where numbers do not rise, or skip too many.
    """
    if frames < 1:
        return None
    first, last = number_of(0), number_of(frames - 1)
    missing = last - first + 1 - frames
    if not 0 <= missing <= MOST_MISSING * frames:
        return None
    steps = np.ones(frames, np.int64)
    steps[0] = 0
    stretches = [(0, first, frames - 1, last)]
    while stretches:
        left, at_left, right, at_right = stretches.pop()
        if at_right - at_left < right - left:
            return None
        if at_right - at_left == right - left:
            continue
        if right == left + 1:
            steps[right] = at_right - at_left
            continue
        middle = (left + right) // 2
        at_middle = number_of(middle)
        stretches += [(left, at_left, middle, at_middle), (middle, at_middle, right, at_right)]
    return np.cumsum(steps)


def describe_numbers(at: np.ndarray, first: int, what: str, step: int = 1) -> str:
    """Say which numbers are missing among those that frames bear, from ``first`` on."""
    missing = np.setdiff1d(np.arange(at[-1] + 1), at) * step + first
    named = ", ".join(map(str, missing[:MOST_NAMED].tolist()))
    many = f"1 {what} is" if len(missing) == 1 else f"{len(missing)} {what}s are"
    return f"{many} missing by the numbers of the others ({named}{_more(missing)})"


def places_by_time(times_ns: np.ndarray, columns: int, positions: int) -> Places | None:
    """Return where frames belong by when they were taken.

    Parameters
    ----------
    times_ns : (frames,) array of integers, nanoseconds
        Of all frames there are.
    columns : int
        Positions of a line.
    positions : int
        Of the whole scan.

    Returns
    -------
    Places or None
        None where times tell nothing. Where they tell of no gap, the frames that are missing are at
        the end. Where they tell a line that lacks a frame but not its place in it, no frame of that
        line has a place.
    """
    between = np.diff(times_ns).astype(float)
    if between.size < 2 or between.min() <= 0 or columns < 2:
        return None
    usual = float(np.median(between))
    found = _places_by_lines(between, usual, columns) if find_pauses(times_ns).size else None
    if found is None:
        found = _places_by_gaps(between, usual, positions)
    return found if found is not None and found.at.max() < positions else None


def usual_line(times_ns: np.ndarray) -> int:
    """Return how many frames usually lie between two pauses that are long; 1 without pauses."""
    between = np.diff(times_ns).astype(float)
    if between.size < 2:
        return 1
    usual = float(np.median(between))
    lengths = np.diff(np.flatnonzero(_flies_back(between - usual, usual)[0]))
    often = np.bincount(lengths) if lengths.size else np.ones(2, np.int64)
    return len(often) - 1 - int(np.argmax(often[::-1]))


def _flies_back(excess: np.ndarray, usual: float) -> tuple[np.ndarray, float]:
    """Return between which frames the beam flies back, and how long that takes; else a frame lacks.

    ``excess`` is the time between two frames beyond the usual.
    """
    pauses = excess[excess > usual / 2]
    back = float(np.median(pauses)) if pauses.size else 0.0
    return excess > max(back, usual) / 2, back


def _places_by_gaps(between: np.ndarray, usual: float, positions: int) -> Places | None:
    """Place frames that are taken all the time by gaps that others would just fill."""
    steps = np.rint(between / usual)
    even = np.abs(between - steps * usual) <= TOLERANCE * usual
    missing = positions - len(between) - 1
    if not even.all() or steps.min() < 1 or not 0 < (steps - 1).sum() == missing:
        return None
    at = np.concatenate([[0], np.cumsum(steps.astype(np.int64))])
    gaps = np.flatnonzero(steps > 1)
    # A computer that stalls makes a gap as well, and then the last frames are missing.
    return Places(at, _by_time(missing, f"between frames {_after(gaps)}"), sure=False)


def _places_by_lines(between: np.ndarray, usual: float, columns: int) -> Places | None:
    """Place frames by the lines after which the beam flies back."""
    excess = between - usual
    flies, back = _flies_back(excess, usual)
    starts = np.concatenate([[0], np.flatnonzero(flies) + 1, [len(between) + 1]])
    lengths = np.diff(starts)
    short = lengths < columns
    split = short[1:] & short[:-1] & (lengths[1:] + lengths[:-1] <= columns)
    if len(lengths) < 3 or np.median(lengths[:-1]) != columns or lengths.max() > columns:
        return None
    if split.any():
        return None  # a computer that stalled within a line
    at = np.concatenate([np.arange(n) + row * columns for row, n in enumerate(lengths.tolist())])
    lost, said = 0, []
    for row in np.flatnonzero(short).tolist():
        first, stop = int(starts[row]), int(starts[row + 1])
        lacks = columns - (stop - first)
        inside = _frames_in(excess[first : stop - 1], usual)
        before = _frames_in(excess[first - 1 : first] - back, usual) if row else np.zeros(1)
        after = _frames_in(excess[stop - 1 : stop] - back, usual)
        if row == len(lengths) - 1:
            # Beyond what its times tell, a line that ends the file was stopped.
            if inside is None or not inside.any() or inside.sum() > lacks:
                continue
            lacks = int(inside.sum())
        known = [None if found is None else int(found.sum()) for found in (before, inside, after)]
        lost += lacks
        if known == [0, lacks, 0] or (known[1] == lacks and row == len(lengths) - 1):
            at[first + 1 : stop] += np.cumsum(inside).astype(at.dtype)
            said.append(f"between frames {_after(first + np.flatnonzero(inside))}")
        elif known == [0, 0, lacks]:
            said.append(f"at the end of row {row}")
        elif known == [lacks, 0, 0]:
            at[first:stop] += lacks
            said.append(f"at the beginning of row {row}")
        else:
            at[first:stop] = -1
            said.append(f"in row {row}, of which no frame has a place")
    if not said:
        return Places(at, "")
    return Places(at, _by_time(lost, ", ".join(said[:MOST_NAMED]) + _more(said)))


def _frames_in(excess: np.ndarray, usual: float) -> np.ndarray | None:
    """Return how many frames there is room for in each time beyond the usual; None if unclear."""
    frames = np.rint(excess / usual)
    unclear = np.abs(excess - frames * usual) > TOLERANCE * usual
    return None if unclear.any() or (frames < 0).any() else frames


def _by_time(missing: int, where: str) -> str:
    """Say that frames are missing by their times."""
    many = "1 frame is" if missing == 1 else f"{missing} frames are"
    return f"{many} missing by the times of the others, {where}"


def _after(gaps: np.ndarray) -> str:
    """Name the frames around gaps, counted from 1."""
    named = ", ".join(f"{gap + 1} and {gap + 2}" for gap in gaps[:MOST_NAMED].tolist())
    return named + _more(gaps)


def _more(things: Any) -> str:
    """Say that there are more than are named."""
    return ", ..." if len(things) > MOST_NAMED else ""
