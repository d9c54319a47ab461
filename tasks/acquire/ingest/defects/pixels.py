"""Find hot, dead and saturated pixels, and whether the values are counts.

A reflection is not a hot pixel. Reflections differ in two ways: they come and go with the grains,
and they spread over several pixels, where a hot pixel stands alone and is there at every scan
position. Both must speak for a defect before a pixel is masked, so that a scan of one crystal,
whose reflections are everywhere, keeps them.
"""

from dataclasses import dataclass

import numpy as np

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc, neighbour_rank

# Below this many positions nothing can be said to be there at every one, and on smaller patterns
# a direct beam and its neighbours leave no pixel to compare with.
FEWEST_POSITIONS = 16
SMALLEST_PATTERN_PX = 16

# A spot of Gaussian profile with a width of 0.4 px, sharper than any detector makes it, is 7.5
# times as bright in its pixel as in the next: what stands out more is no spot.
HOT_RATIO = 10.0
# Where a reflection lies beside it, a hot pixel stands out less, but still does.
HOT_RATIO_EVERYWHERE = 1.5
# The excess of a hot pixel in its weakest part of the scan, against the usual one.
HOT_CONSTANCY = 0.3
# The excess over all patterns in units of its noise.
HOT_SIGNIFICANCE = 6.0

# Expecting so many electrons and finding none has a probability of e⁻²⁵ (e⁻¹⁵ for a pixel that
# lies in a hollow of the pattern, with a million pixels to try it).
DEAD_EXPECTED_COUNTS = 25.0
# A pixel that is not zero but counts less than this share of its dimmest neighbour is dead too.
DEAD_SHARE = 0.02

# Variance over mean of counts is 1; charge shared between pixels raises it a little, real
# contrast between neighbouring positions too. Less than 1 it is for no counts: a camera's grey
# levels may have 1 at one brightness by chance, but not at every one.
COUNTS_FANO_RANGE = (0.85, 1.3)
# The pooled ratio of so many counts is known to about 5 %.
COUNTS_FEWEST = 1000.0

COUNTER_DEPTHS_BITS = (6, 8, 10, 12, 14, 15, 16, 24, 31, 32)


def hot_pixels(
    region_sum: np.ndarray, region_positions: np.ndarray, beam: BeamDisc, gain: float = 1.0
) -> np.ndarray:
    """Find pixels that stand alone, at every place of the scan alike.

    Parameters
    ----------
    region_sum : (region, detector_y, detector_x) array, electrons
        Sums of the patterns of each of several parts of the scan.
    region_positions : (region,) array
        Number of patterns in each.
    beam : BeamDisc
        No pixel within one and a half times its radius is ever hot.
    gain : float
        Units of intensity per electron, for the noise.

    Returns
    -------
    (detector_y, detector_x) bool array
        The second brightest neighbour is what a pixel is compared with, so that two hot pixels
        side by side are found.
    """
    shape = region_sum.shape[1:]
    if min(shape) < SMALLEST_PATTERN_PX or region_positions.sum() < FEWEST_POSITIONS:
        return np.zeros(shape, dtype=bool)
    region_sum = np.asarray(region_sum, dtype=float)
    around = np.maximum(neighbour_rank(region_sum, 2), 0)
    excess = region_sum - around
    mean_excess = excess / region_positions[:, None, None]
    total = region_sum.sum(axis=0)
    noise = np.sqrt(np.maximum(total, 1) * max(gain, 1e-12))
    # Sums over few patterns of dim pixels scatter: one electron beside none is no evidence.
    everywhere = (region_sum > HOT_RATIO_EVERYWHERE * around + 2 * gain).all(axis=0)
    alone = np.median(region_sum - HOT_RATIO * around, axis=0) > 0
    constant = mean_excess.min(axis=0) >= HOT_CONSTANCY * np.median(mean_excess, axis=0)
    clear = excess.sum(axis=0) > HOT_SIGNIFICANCE * noise
    return everywhere & alone & constant & clear & ~beam.mask(shape, times=1.5)


def dead_pixels(total: np.ndarray, positions: int, gain: float = 1.0) -> np.ndarray:
    """Find pixels that count nothing where all that surround them count.

    Parameters
    ----------
    total : (detector_y, detector_x) array, electrons
        Sum of all patterns.
    positions : int
        How many patterns were summed.
    gain : float
        Units of intensity per electron.

    Returns
    -------
    (detector_y, detector_x) bool array
        Zero, where the dimmest pixel of the 5×5 around that is not zero has at least
        ``DEAD_EXPECTED_COUNTS`` electrons; lines up to two pixels wide count, larger empty areas
        (a beam stop, the outside of a round detector) do not. Or at most ``DEAD_SHARE`` of the
        dimmest of its eight neighbours.
    """
    from scipy import ndimage

    if min(total.shape) < SMALLEST_PATTERN_PX or positions < FEWEST_POSITIONS:
        return np.zeros(total.shape, dtype=bool)
    electrons = np.asarray(total, dtype=float) / max(gain, 1e-12)
    empty = electrons <= 0
    wide = ndimage.binary_dilation(
        ndimage.binary_opening(empty, np.ones((3, 3))), np.ones((3, 3)), iterations=2
    )
    lit = np.where(empty, np.inf, electrons)
    dimmest = ndimage.minimum_filter(lit, size=5, mode="constant", cval=np.inf)
    share_lit = ndimage.uniform_filter((~empty).astype(float), size=5, mode="nearest")
    silent = empty & ~wide & (share_lit >= 0.5)
    silent &= np.isfinite(dimmest) & (dimmest >= DEAD_EXPECTED_COUNTS)
    lowest_neighbour = -neighbour_rank(-electrons, 1)
    weak = electrons <= DEAD_SHARE * lowest_neighbour
    weak &= np.isfinite(lowest_neighbour) & (lowest_neighbour >= DEAD_EXPECTED_COUNTS)
    return silent | (weak & ~empty)


def saturation_value(largest: int, often: int, next_often: int, dtype: np.dtype) -> int | None:
    """Tell whether the largest value is where the detector stops counting.

    Parameters
    ----------
    largest : int
        The largest value of the scan.
    often, next_often : int
        How many entries have it, and how many have one less.
    dtype : numpy.dtype
        As acquired.

    Returns
    -------
    int or None
        ``largest``, when it is the largest that ``dtype`` can hold or ``2**bits - 1`` of a common
        counter, is reached more than once, and (for a counter narrower than the type) is reached
        at least as often as the value below: counts pile up where counting stops, and thin out
        towards a largest value that is there by chance.
    """
    if dtype.kind not in "iu" or often < 2 or not is_full_scale(largest, dtype):
        return None
    return largest if largest == np.iinfo(dtype).max or often >= next_often else None


def is_full_scale(value: int, dtype: np.dtype) -> bool:
    """Tell whether a counter, or an integer type, ends at a value."""
    return value == np.iinfo(dtype).max or value in {2**b - 1 for b in COUNTER_DEPTHS_BITS}


def fano_factor(squares: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return variance over mean of each pixel, from neighbouring scan positions.

    Parameters
    ----------
    squares, sums : (detector_y, detector_x) array
        ``Σ (a - b)²`` and ``Σ (a + b)`` over pairs of neighbouring positions.

    Returns
    -------
    (detector_y, detector_x) float32 array, dimensionless
        Their ratio: 1 for counts that do not change between the two, NaN where nothing was seen.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums > 0, squares / sums, np.nan).astype(np.float32)


@dataclass(frozen=True)
class Fano:
    """Variance over mean, pooled over many pixels.

    Parameters
    ----------
    dim : float or None
        Of the dimmer half of the pixels, where no reflections come and go. None where too few
        counts were seen to tell.
    lowest : float or None
        The lowest of the tenths of the pixels in order of brightness.
    """

    dim: float | None
    lowest: float | None


def pooled_fano(squares: np.ndarray, sums: np.ndarray, usable: np.ndarray) -> Fano:
    """Pool variance over mean, pixels of like brightness together.

    Parameters
    ----------
    squares, sums : (detector_y, detector_x) array
        As in `fano_factor`.
    usable : (detector_y, detector_x) bool array
        Pixels that are not defective, not saturated and not within the direct beam.

    Returns
    -------
    Fano
        ``dim`` over more than half of the pixels where the dimmer half has fewer than
        ``COUNTS_FEWEST`` counts.
    """
    chosen = usable & (sums > 0)
    order = np.argsort(sums[chosen], kind="stable")
    counts = np.concatenate([[0], np.cumsum(sums[chosen][order])])
    square = np.concatenate([[0], np.cumsum(squares[chosen][order])])
    cuts = np.linspace(0, order.size, 11).astype(int)
    dim = None
    for cut in cuts[5:]:
        if dim is None and counts[cut] >= COUNTS_FEWEST:
            dim = float(square[cut] / counts[cut])
    within = np.diff(counts[cuts])
    enough = within >= COUNTS_FEWEST
    tenths = np.diff(square[cuts])[enough] / within[enough]
    return Fano(dim, float(tenths.min()) if tenths.size else dim)


def looks_like_counts(fano: Fano, dtype: np.dtype, negative: int) -> bool:
    """Tell whether values are Poisson counts: integers, none negative, Fano factor about 1."""
    low, high = COUNTS_FANO_RANGE
    if dtype.kind not in "iu" or negative or fano.dim is None:
        return False
    return low <= fano.dim <= high and fano.lowest >= low
