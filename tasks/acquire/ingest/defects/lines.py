"""Find rows and columns of the detector that are brighter, darker or noisier than those beside.

Pixels at the borders of chips are larger and collect more; the amplifier of a column may be set
differently, or be noisy. Such a line steps off at once from the lines on both sides, by about as
much at most places along it, and by more than lines usually differ. A streak or a Kikuchi line that
lies along the pixels is neither as sharp nor as even; a reflection or the beam covers little of a
line, and what falls off around the beam has no step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from orimap.tasks.acquire.ingest.defects.pixels import DEAD_SHARE, fano_factor

# On smaller patterns the beam and what surrounds it leave too few lines to compare with.
SMALLEST_PATTERN_PX = 32
# So many lines side by side may be odd together. They are compared with so many on each side, none
# of them farther off than this.
WIDEST_PX = 3
BESIDE = 3
REACH_PX = 5
# A pixel tells where it and those around it hold so many times their noise (of counts, 100 of
# them); a line does where so many of its pixels do, and this part of them.
SURE = 10.0
FEWEST_PX = 24
TOLD = 0.5
# What is odd differs by this factor, by so many standard errors, and by so many times what is
# usual among the lines nearby, of which there are so many.
BRIGHTER = 1.15
NOISIER = 1.5
CLEAR = 5.0
NEARBY = 32
# This share of the pixels of an odd line differ by a third of what is usual in it, or more.
ALL_ALONG = 0.7
# The line next to it differs by no more than this part of it, and odd lines side by side by no less
# than this part of the most: the image of a streak, blurred by 0.7 px or more, fails in one. From
# either side it differs by no less than this part of the mean.
SHOULDER = 0.1
ALIKE = 0.6
# So many rows and so many columns of each kind are named.
MOST_NAMED = 6

WORDS = {
    "bright": "{is_are} {amount} times as bright as {those}, all along, as larger pixels between "
    "chips are",
    "dark": "{is_are} {amount} times as bright as {those}, all along",
    "more": "{has_have} {amount} more in every pixel and pattern than {those}, all along",
    "less": "{has_have} {amount} less in every pixel and pattern than {those}, all along",
    "noisy": "{is_are} {amount} times as noisy (variance over mean) as {those}, all along",
}


@dataclass(frozen=True)
class OddLine:
    """A row or column that is unlike those beside it.

    Parameters
    ----------
    axis : int
        0 for a row, 1 for a column.
    place : int
        From 0, in pixels as stored.
    kind : str
        One of ``WORDS``: ``more`` and ``less`` where it is the same intensity all along, rather
        than the same factor.
    amount : float
        Intensity in every pixel and pattern for ``more`` and ``less``; else the factor.
    """

    axis: int
    place: int
    kind: str
    amount: float


def odd_lines(
    total: np.ndarray,
    squares: np.ndarray,
    pairs: np.ndarray,
    usable: np.ndarray,
    positions: int,
    pedestal: float = 0.0,
) -> list[OddLine]:
    """Find the rows and columns that are unlike those beside them, all along.

    Parameters
    ----------
    total : (detector_y, detector_x) array, intensity
        Sum of all patterns.
    squares, pairs : (detector_y, detector_x) array
        As in `fano_factor`.
    usable : (detector_y, detector_x) bool array
        Pixels that are not masked.
    positions : int
        How many patterns were summed.
    pedestal : float
        Intensity in every pixel and pattern without electrons.

    Returns
    -------
    list of OddLine
        Noise is not compared where brightness is odd already.
    """
    if min(total.shape) < SMALLEST_PATTERN_PX:
        return []
    found = []
    fano = np.where(usable, fano_factor(squares, pairs), np.nan)
    # Of the sum of all patterns; changes from one position to the next are in it.
    variance = fano * total
    for axis in (0, 1):
        whole, noise, spread = (np.moveaxis(image, axis, 0) for image in (total, fano, variance))
        lit = whole - pedestal * positions
        for place, step in _odd(np.where(_is_sure(lit, spread), lit, np.nan), BRIGHTER).items():
            kind, amount = ("bright" if step.level > 0 else "dark"), float(np.exp(step.level))
            if step.shifted:
                kind, amount = ("more" if step.level > 0 else "less"), abs(step.offset) / positions
            found.append(OddLine(axis, place, kind, amount))
        noise = np.where(_is_sure(whole, spread), noise, np.nan)
        noise[[line.place for line in found if line.axis == axis]] = np.nan
        for place, step in _odd(noise, NOISIER).items():
            if step.level > 0:
                found.append(OddLine(axis, place, "noisy", float(np.exp(step.level))))
    return found


def describe(lines: Sequence[OddLine]) -> list[str]:
    """Name odd lines in plain words, those of a kind together."""
    notes = []
    for kind, words in WORDS.items():
        here = [line for line in lines if line.kind == kind]
        if not here:
            continue
        # Two digits, or as many as there are before the point.
        amounts = [
            f"{line.amount:.2g}" if line.amount < 10 else f"{line.amount:,.0f}"
            for line in sorted(here, key=lambda line: line.amount)
        ]
        one = len(here) == 1
        said = words.format(
            is_are="is" if one else "are",
            has_have="has" if one else "have",
            those="those beside it" if one else "those beside them",
            amount=" to ".join(dict.fromkeys((amounts[0], amounts[-1]))),
        )
        notes.append(f"{_named(here)} of the stored patterns (from 0) {said}; kept")
    return notes


def _named(lines: Sequence[OddLine]) -> str:
    """Return rows and columns as in ``row 4 and columns 7, 8``, and dots where there are more."""
    parts = []
    for axis, name in enumerate(("row", "column")):
        places = [str(line.place) for line in lines if line.axis == axis]
        if places:
            more = ", ..." * (len(places) > MOST_NAMED)
            parts.append(f"{name}{'s' * (len(places) > 1)} {', '.join(places[:MOST_NAMED])}{more}")
    return " and ".join(parts)


@dataclass(frozen=True)
class _Step:
    """How a line differs from those beside it, in the median along it.

    Parameters
    ----------
    level, error : float
        Logarithm of the factor, and its standard error.
    least : float
        As ``level``, against the side from which it differs less. There is one side at an edge of
        the detector; 0 for a line that is dark there, as shifting and resampling leave it.
    shoulder : float
        As ``level``, of the nearest line on each side.
    offset : float
        The difference.
    even, shifted : bool
        Whether it differs all along, and whether by a difference rather than a factor.
    """

    level: float
    error: float
    least: float
    shoulder: float
    offset: float
    even: bool
    shifted: bool

    @classmethod
    def of(cls, own: np.ndarray, sides: Sequence[np.ndarray]) -> "_Step | None":
        """Compare a line (pixel,) with sides (line, pixel), nearest first; NaN is not known."""
        beside = np.array([np.median(side, axis=0) for side in sides])
        told = np.isfinite(own) & (beside > 0).all(axis=0)
        if np.count_nonzero(told) < max(FEWEST_PX, TOLD * len(told)):
            return None
        own, beside, nearest = own[told], beside[:, told], np.mean([s[0, told] for s in sides], 0)
        around = beside.mean(axis=0)
        ratio, change = own / around, own - around
        level, shoulder, *levels = map(_level, (ratio, nearest / around, *(own / beside)))
        factor, offset = np.exp(level), float(np.median(change))
        error = 1.2533 * 1.4826 * np.median(abs(ratio - factor)) / np.sqrt(len(ratio)) / factor
        # Of the factor and of the difference, in units of their medians.
        least, most = np.quantile(
            [(ratio - 1) / (factor - 1 or np.nan), change / (offset or np.nan)],
            [1 - ALL_ALONG, ALL_ALONG],
            axis=1,
        )
        return cls(
            level,
            float(error),
            min(levels) if level > 0 else max(levels) if len(levels) > 1 else 0.0,
            shoulder,
            offset,
            bool(least.max() >= 1 / 3),
            bool((most - least)[1] < (most - least)[0] / 2),
        )

    def is_odd(self, least: float, usual: np.ndarray) -> bool:
        """Tell whether it is at least so large, clear, sharp, even, and not ``usual``."""
        sign, size = np.sign(self.level), np.abs([self.level, self.offset])
        large = sign * self.least >= max(least, ALIKE * size[0]) and self.level > np.log(DEAD_SHARE)
        clear = size[0] > CLEAR * self.error and (size > CLEAR * usual).all()
        sharp = sign * self.shoulder <= SHOULDER * size[0] + self.error
        return bool(large and clear and sharp and self.even)


def _level(ratio: np.ndarray) -> float:
    """Return the logarithm of the median."""
    return float(np.log(max(np.median(ratio), DEAD_SHARE)))


def _is_sure(lit: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return where pixels of (line, pixel), with those in the lines around, exceed their noise."""
    from scipy.ndimage import uniform_filter1d

    # Chosen by a sum to which all lines add alike, a dim one is no likelier than another.
    size, known = 2 * BESIDE + 1, np.isfinite(variance)
    signal, square = (
        uniform_filter1d(np.where(known, image, 0.0), size, axis=0) for image in (lit, variance)
    )
    return known & (signal * np.sqrt(size) > SURE * np.sqrt(np.maximum(square, 0)))


def _odd(values: np.ndarray, factor: float) -> dict[int, _Step]:
    """Find the lines of (line, pixel) that differ by ``factor`` or more; NaN is not known."""
    found: dict[int, _Step] = {}
    # The largest first: beside lines that are bright, others are dark.
    blocks = sorted(_blocks(values, np.log(factor)), key=lambda block: -abs(block[0]))
    for offset, block, beside in blocks:
        if all(found[at].offset * offset > 0 for at in found.keys() & beside):
            found |= block
    return dict(sorted(found.items()))


def _blocks(values: np.ndarray, least: float) -> Iterator[tuple[float, dict[int, _Step], set[int]]]:
    """Yield lines side by side that are odd together: offset, steps, and the lines beside."""
    told = np.flatnonzero(np.isfinite(values).mean(axis=1) >= TOLD)
    if len(told) < NEARBY:
        return
    jumps = np.array([_jump(values[one], values[other]) for one, other in pairwise(told)])
    bends = abs(np.diff(jumps, axis=0)) / 2
    borders = [0, *(np.flatnonzero(abs(jumps[:, 0]) >= least) + 1), len(told)]
    for start, stop in combinations(borders, 2):
        sides = _sides(told, start, stop, len(values)) if stop - start <= WIDEST_PX else []
        if not sides:
            continue
        usual = 1.4826 * np.median(bends[max(0, start - NEARBY // 2) :][:NEARBY], axis=0)
        beside = [values[side] for side in sides]
        steps = {at: _Step.of(values[at], beside) for at in told[start:stop].tolist()}
        block = {at: step for at, step in steps.items() if step and step.is_odd(least, usual)}
        if len(block) == len(steps):
            offsets = sorted((step.offset for step in block.values()), key=abs)
            if offsets[0] / offsets[-1] >= ALIKE:
                yield offsets[0], block, set(np.concatenate(sides).tolist())


def _jump(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return how a line differs from the one before: the logarithm of the factor, the change."""
    known = np.isfinite(other) & (one > 0)
    if not known.any():
        return 0.0, 0.0
    return _level(other[known] / one[known]), float(np.median(other[known] - one[known]))


def _sides(told: np.ndarray, start: int, stop: int, lines: int) -> list[np.ndarray]:
    """Return which of the lines ``told`` are beside ``told[start:stop]``, nearest first.

    On one side where the other is the edge of a detector of so many ``lines``; none at all where
    those on a side are too far off.
    """
    first, last = told[start], told[stop - 1]
    below, above = told[max(0, start - BESIDE) : start][::-1], told[stop : stop + BESIDE]
    sides = []
    for side, end, room in ((below, first, first), (above, last, lines - 1 - last)):
        if room and (len(side) < min(BESIDE, room) or abs(side[-1] - end) > REACH_PX):
            return []
        if room:
            sides.append(side)
    return sides
