"""Find pixels of single patterns that X-rays or cosmic rays have hit.

A spike is far brighter than its neighbours on the detector, and than the same pixel in the patterns
around: a reflection is at least as wide as the detector blurs it, or is there in more than one
pattern. A crystal of a single position is told by the first alone, so that what looks as sharp as a
spike in more than a few pixels of one pattern is left: a crystal has many reflections. What lights
more pixels at once is looked for in another way (tracks.py).
"""

import numba
import numpy as np

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.acquire.ingest.defects.tracks import (
    FEWEST_AROUND,
    POSITION_RATIO,
    above_chance,
    find_tracks,
)
from orimap.tasks.store.cleaning import Spikes

# A spot of Gaussian profile with a width of 0.4 px, sharper than any detector makes it, is 7.5
# times as bright in its pixel as in the next.
NEIGHBOUR_RATIO = 10.0
# Less than so many electrons are no spike, or so many standard deviations of what is dim.
FEWEST_ELECTRONS = 30.0
FEWEST_DEVIATIONS = 10.0
# Patterns with more hits, each of one or two pixels, are left as they are.
MOST_A_PATTERN = 3
# Pairs of neighbouring patterns from which the noise of a block is taken.
NOISE_PAIRS = 8
# Pixels that are looked at for that.
NOISE_PIXELS = 2**14
# The brightest part of the pixels, whose noise tells the gain.
BRIGHT_PART = 0.05


def find_spikes(patterns: np.ndarray, used: np.ndarray, beam: BeamDisc | None = None) -> Spikes:
    """Find the spikes of a block of patterns.

    Parameters
    ----------
    patterns : (scan_y, scan_x, detector_y, detector_x) array
    used : (detector_y, detector_x) array of bool
        Pixels that are looked at.
    beam : BeamDisc, optional
        Without it, hits of more than two pixels are not looked for.
    """
    rows, columns = patterns.shape[:2]
    none = Spikes.none(patterns.dtype)
    if rows * columns <= FEWEST_AROUND or min(patterns.shape[2:]) < 3:
        return none
    gain, dim = noise_of(patterns, used)
    if gain <= 0 and dim <= 0:
        return none
    least = max(FEWEST_ELECTRONS * gain, FEWEST_DEVIATIONS * dim)
    if patterns.dtype.kind in "iu":
        least = min(int(np.ceil(least)), np.iinfo(patterns.dtype).max)
    with np.errstate(over="ignore"):  # nothing is above a limit that the type does not hold
        limit = patterns.dtype.type(least)
    bright = np.flatnonzero(patterns.ravel() > limit)
    found, instead = _hits(patterns, bright[_stand_out(patterns, bright, used, gain, dim)])
    if beam is not None:
        disc = beam.mask(patterns.shape[2:])
        lit, usual = find_tracks(patterns, bright, used, disc, (gain, dim))
        found, first = np.unique(np.concatenate([lit, found]), axis=0, return_index=True)
        instead = np.concatenate([usual, instead])[first]
    return Spikes(found, patterns[tuple(found.T)], instead)


def _hits(patterns: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return those of the places that are hits and no crystal, and what stands in for each."""
    found = np.stack(np.unravel_index(flat, patterns.shape), axis=1)
    if len(found):
        # Reflections of a crystal come in number.
        _, inverse = np.unique(found[:, :2], axis=0, return_inverse=True)
        hits = np.bincount(inverse.ravel(), weights=~_beside_another(found))
        found = found[hits[inverse.ravel()] <= MOST_A_PATTERN]
    spiked = {tuple(place) for place in found}
    instead = [_median_around(patterns, place, spiked) for place in found]
    return found, np.array(instead).astype(patterns.dtype)


def _beside_another(found: np.ndarray) -> np.ndarray:
    """Return which places (spike, 4) are beside one named before: the two are one hit."""
    beside = np.zeros(len(found), bool)
    places = {tuple(place) for place in found.tolist()}
    for number, (y, x, v, w) in enumerate(found.tolist()):
        before = [(v - 1, w - 1), (v - 1, w), (v - 1, w + 1), (v, w - 1)]
        beside[number] = any((y, x, *at) in places for at in before)
    return beside


def is_as_sharp_as_a_pixel(mean: np.ndarray, beam: BeamDisc) -> bool:
    """Return whether the direct beam is as sharp as a spike, so that reflections may be, too.

    Parameters
    ----------
    mean : (detector_y, detector_x) array
        Of patterns from all over the scan.
    beam : BeamDisc
    """
    inside = np.where(beam.mask(mean.shape), mean, -np.inf)
    place = np.unravel_index(inside.argmax(), mean.shape)
    return bool(mean[place] > NEIGHBOUR_RATIO * max(_second(mean, *place), 0.0))


def noise_of(patterns: np.ndarray, used: np.ndarray) -> tuple[float, float]:
    """Return units of intensity per electron, and the noise of dim pixels, of a block.

    From the differences of patterns beside each other; medians over pixels, which few spikes and
    borders of grains leave alone.
    """
    rows, columns = patterns.shape[:2]
    if columns > 1:
        places = [(y, x, y, x + 1) for y in range(rows) for x in range(columns - 1)]
    else:
        places = [(y, 0, y + 1, 0) for y in range(rows - 1)]
    chosen = np.unique(np.linspace(0, len(places) - 1, NOISE_PAIRS).round().astype(int))
    pixels = np.flatnonzero(used)
    pixels = pixels[:: -(-len(pixels) // NOISE_PIXELS) or 1]
    flat = patterns.reshape(rows, columns, -1)
    squares = sums = 0.0
    changes = []
    for y, x, v, w in (places[i] for i in chosen):
        a, b = (
            np.nan_to_num(flat[at][pixels].astype(np.float64), posinf=0, neginf=0)
            for at in ((y, x), (v, w))
        )
        squares, sums = squares + (a - b) ** 2, sums + a + b
        changes.append(np.abs(a - b))
    if np.size(sums) == 0:
        return 0.0, 0.0
    # Half of the changes of what is dim; many values are zero where counts are few.
    dim = float(np.median(np.stack(changes))) / (0.6745 * np.sqrt(2))
    bright = np.argsort(sums)[-max(1, int(BRIGHT_PART * np.size(sums))) :]
    bright = bright[sums[bright] > 0]
    gain = float(np.median(squares[bright] / sums[bright])) if bright.size else 0.0
    return gain, dim


def _median_around(patterns: np.ndarray, place: np.ndarray, spiked: set[tuple]) -> float:
    """Return the median of the neighbours on the detector that are no spikes themselves."""
    y, x, v, w = place
    around = [
        patterns[y, x, v + i, w + j]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if (y, x, v + i, w + j) not in spiked
        and 0 <= v + i < patterns.shape[2]
        and 0 <= w + j < patterns.shape[3]
    ]
    median = float(np.median(around)) if around else 0.0
    return float(np.rint(median)) if patterns.dtype.kind in "iu" else median


@numba.njit(cache=True, nogil=True)
def _stand_out(
    patterns: np.ndarray, bright: np.ndarray, used: np.ndarray, gain: float, dim: float
) -> np.ndarray:
    """Return which of the bright pixels stand out from neighbours and from the patterns around."""
    rows, columns, height, width = patterns.shape
    stands = np.zeros(len(bright), np.bool_)
    for number in range(len(bright)):
        position, pixel = divmod(bright[number], height * width)
        y, x = divmod(position, columns)
        v, w = divmod(pixel, width)
        one = np.float64(patterns[y, x, v, w])
        if not used[v, w] or one == np.inf:
            continue
        if not _above(one, _second(patterns[y, x], v, w), NEIGHBOUR_RATIO, gain, dim):
            continue
        around, largest = 0, -np.inf
        for i in range(max(0, y - 1), min(rows, y + 2)):
            for j in range(max(0, x - 1), min(columns, x + 2)):
                if i != y or j != x:
                    around += 1
                    largest = max(largest, np.float64(patterns[i, j, v, w]))
        stands[number] = around >= FEWEST_AROUND and _above(one, largest, POSITION_RATIO, gain, dim)
    return stands


@numba.njit(cache=True, nogil=True)
def _second(pattern: np.ndarray, v: int, w: int) -> float:
    """Return the second brightest neighbour: two pixels that are hit may lie side by side."""
    first = second = -np.inf
    for i in range(max(0, v - 1), min(pattern.shape[0], v + 2)):
        for j in range(max(0, w - 1), min(pattern.shape[1], w + 2)):
            if i != v or j != w:
                one = np.float64(pattern[i, j])
                if one > first:
                    first, second = one, first
                elif one > second:
                    second = one
    return second


@numba.njit(cache=True, nogil=True)
def _above(one: float, other: float, ratio: float, gain: float, dim: float) -> bool:
    """Return whether a value is so much more than another may be expected to be."""
    return one > ratio * above_chance(max(other, 0.0), gain, dim)
