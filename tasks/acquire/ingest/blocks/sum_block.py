"""Sum up the patterns of one block in one pass, over all their pixels or over those listed.

Counts that are mostly zero are summed from their lists: 4 % of the pixels hold all there is to
add. Either way the detector is taken in tiles whose sums stay in the cache while all patterns of
the block add to them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.acquire.ingest.blocks.sums import PatternSums
from orimap.tasks.store.cleaning import clean
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.stream.blocks import Block

# Detector pixels a tile: their sums take some 40 bytes each, and a core's own cache holds 512 kB.
TILE_PX = np.uintp(4096)
# What a pixel's role says: bit 0, it is used; bit 1, it lies in the disc; from bit 2, which
# candidate it is, counted from 1.
USED, IN_DISC, CANDIDATE = 1, 2, 4


@dataclass(frozen=True)
class Roles:
    """Which pixels of the detector are looked at for what.

    Parameters
    ----------
    beam : BeamDisc
    used : (detector_y, detector_x) bool array
        False where a given mask leaves a pixel out of the total intensity.
    candidates : (candidate, 2) int array
        Rows and columns of pixels that may turn out hot.
    """

    beam: BeamDisc
    used: np.ndarray
    candidates: np.ndarray


@dataclass(frozen=True)
class BlockSums:
    """What the patterns of one block add up to; negative and not finite values count as 0.

    Parameters
    ----------
    sums : PatternSums
    bright_field : (scan_y, scan_x) float32 array
        Intensity in the direct beam's disc.
    total : (scan_y, scan_x) float64 array
        Sum over the pixels that are used.
    candidate_values : (scan_y, scan_x, candidate) float64 array
        Intensity of pixels that may turn out hot.
    """

    sums: PatternSums
    bright_field: np.ndarray
    total: np.ndarray
    candidate_values: np.ndarray


class Layout(NamedTuple):
    """Where the patterns of a block lie; a tuple, which compiled loops can take.

    Parameters
    ----------
    width : int
        Patterns to a row.
    region : (pattern,) array of unsigned int
        Which row of `PixelSums.regions` each pattern adds to.
    """

    width: int
    region: np.ndarray


class PixelSums(NamedTuple):
    """What the patterns of a block add up to along the detector's pixels.

    Parameters
    ----------
    regions : (region, pixel) float64 array
    squares, pairs : (pixel,) float64 arrays
        As in `PatternSums`.
    maximum : (pixel,) array
    """

    regions: np.ndarray
    squares: np.ndarray
    pairs: np.ndarray
    maximum: np.ndarray


class PositionSums(NamedTuple):
    """What the pixels of each listed pattern add up to, and those that may turn out hot.

    Parameters
    ----------
    total, disc : (pattern,) float64 arrays
        Over the pixels that are used, and over those in the direct beam's disc.
    candidates : (pattern, candidate) float64 array
    """

    total: np.ndarray
    disc: np.ndarray
    candidates: np.ndarray


def sum_block(
    patterns: np.ndarray,
    block: Block,
    cuts: tuple[np.ndarray, np.ndarray],
    roles: Roles,
    entries: Entries | None = None,
) -> BlockSums:
    """Sum up the patterns of one block.

    Parameters
    ----------
    patterns : (scan_y, scan_x, detector_y, detector_x) array
    block : Block
        Where they lie in the scan.
    cuts : pair of arrays
        From `region_cuts`.
    roles : Roles
    entries : Entries, optional
        The same patterns as lists, where they are mostly zero.
    """
    scan, detector = patterns.shape[:2], patterns.shape[2:]
    positions, pixels = block.positions, roles.used.size
    # Neighbours lie in a row, or one above the other where the scan is one column.
    column = scan[1] == 1 < scan[0] and cuts[1][-1] == 1
    width = scan[0] if column else scan[1]
    numbers, region = np.unique(_region_numbers(block, cuts), return_inverse=True)
    layout = Layout(width, region.ravel().astype(np.uintp))
    sums = PixelSums(
        np.zeros((len(numbers), pixels)),
        np.zeros(pixels),
        np.zeros(pixels),
        np.zeros(pixels, np.float64 if entries is None else patterns.dtype),
    )
    total = np.zeros(positions)
    if entries is None:
        used = roles.used.ravel().astype(np.float64)
        zeros = sum_dense(patterns.reshape(positions, pixels), layout, used, sums, total)
        disc = disc_intensity(patterns, roles.beam)
        candidates = clean(patterns[:, :, roles.candidates[:, 0], roles.candidates[:, 1]])
    else:
        disc = np.zeros(positions)
        candidates = np.zeros((positions, len(roles.candidates)))
        listed = entries._replace(indptr=entries.indptr.astype(np.uintp))
        of_positions = PositionSums(total, disc, candidates)
        counted = sum_entries(listed, layout, _pixel_roles(roles), sums, of_positions)
        zeros = positions * pixels - counted
    found = PatternSums(
        {int(n): part.reshape(detector) for n, part in zip(numbers, sums.regions, strict=True)},
        sums.maximum.astype(patterns.dtype, copy=False).reshape(detector),
        sums.squares.reshape(detector),
        sums.pairs.reshape(detector),
        int(zeros),
    )
    return BlockSums(
        found,
        # What overflows is no intensity, and left out once all are known.
        np.minimum(disc, np.finfo(np.float32).max).reshape(scan).astype(np.float32),
        total.reshape(scan),
        candidates.reshape(*scan, -1).astype(np.float64),
    )


def disc_intensity(patterns: np.ndarray, beam: BeamDisc) -> np.ndarray:
    """Return the intensity within the direct beam's disc, as (scan_y, scan_x) float64."""
    shape = patterns.shape[2:]
    y0, x0 = (max(0, int(centre - beam.radius)) for centre in (beam.y, beam.x))
    y1, x1 = (int(centre + beam.radius) + 2 for centre in (beam.y, beam.x))
    inside = beam.mask(shape)[y0:y1, x0:x1]
    cut = clean(patterns[:, :, y0:y1, x0:x1])
    return np.einsum("abyx,yx->ab", cut.astype(np.float64), inside.astype(np.float64))


def _region_numbers(block: Block, cuts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the number of the region that each position lies in, as (scan_y, scan_x)."""
    row = np.searchsorted(cuts[0], np.arange(block.y0, block.y1), side="right") - 1
    column = np.searchsorted(cuts[1], np.arange(block.x0, block.x1), side="right") - 1
    return row[:, None] * (len(cuts[1]) - 1) + column


def _pixel_roles(roles: Roles) -> np.ndarray:
    """Return what each pixel is looked at for, as one number a pixel."""
    role = USED * roles.used + IN_DISC * roles.beam.mask(roles.used.shape)
    role = role.astype(np.uint32)
    y, x = roles.candidates.T
    role[y, x] += (CANDIDATE * np.arange(1, len(roles.candidates) + 1)).astype(np.uint32)
    return role.ravel()


@numba.njit(cache=True, nogil=True)
def sum_entries(
    entries: Entries,
    layout: Layout,
    role: np.ndarray,
    pixel_sums: PixelSums,
    position_sums: PositionSums,
) -> int:
    """Add listed patterns to all sums; return how many values are positive.

    The square of a change is added where its second value is met, or, where that is zero and so
    not listed, when the pixel is met again: nothing cancels, whole numbers stay exact.
    """
    indptr, pixel, value = entries
    regions, squares, pairs, maximum = pixel_sums
    total, disc, candidates = position_sums
    width, region = np.uintp(layout.width), layout.region
    pixels = np.uintp(len(role))
    counted = 0
    at = indptr[:-1].copy()
    last = np.zeros(TILE_PX)
    # The pattern that the last value of a pixel has to its right, 0 for none.
    awaited = np.zeros(TILE_PX, np.uint32)
    for start in range(np.uintp(0), pixels, TILE_PX):
        stop = min(start + TILE_PX, pixels)
        awaited[:] = 0
        for pattern in range(np.uintp(len(at))):
            place = pattern % width
            has_left, has_right = place > 0, place + np.uintp(1) < width
            weight = (1.0 if has_left else 0.0) + (1.0 if has_right else 0.0)
            sums = regions[region[pattern]]
            in_total = 0.0
            entry, end = at[pattern], indptr[pattern + np.uintp(1)]
            while entry < end and pixel[entry] < stop:
                i, one = np.uintp(pixel[entry]), value[entry]
                entry += np.uintp(1)
                if not 0 < one < np.inf:
                    continue
                counted += 1
                here, j = np.float64(one), i - start
                sums[i] += here
                pairs[i] += weight * here
                maximum[i] = max(maximum[i], one)
                if awaited[j] == pattern and has_left:
                    squares[i] += (here - last[j]) ** 2
                else:
                    if awaited[j] > 0:
                        squares[i] += last[j] ** 2
                    if has_left:
                        squares[i] += here**2
                awaited[j] = pattern + np.uintp(1) if has_right else np.uintp(0)
                last[j] = here
                what = role[i]
                if what & USED:
                    in_total += here
                if what >= IN_DISC:
                    if what & IN_DISC:
                        disc[pattern] += here
                    if what >= CANDIDATE:
                        candidates[pattern, what // CANDIDATE - 1] = here
            at[pattern] = entry
            total[pattern] += in_total
        for i in range(start, stop):
            if awaited[i - start] > 0:
                squares[i] += last[i - start] ** 2
    return counted


@numba.njit(cache=True, nogil=True, fastmath={"reassoc"})
def sum_dense(
    values: np.ndarray, layout: Layout, used: np.ndarray, pixel_sums: PixelSums, total: np.ndarray
) -> int:
    """Add patterns (pattern, pixel) to all sums; return how many values are 0."""
    regions, squares, pairs, maximum = pixel_sums
    width, region = np.uintp(layout.width), layout.region
    patterns, pixels = np.uintp(values.shape[0]), np.uintp(values.shape[1])
    zeros = 0
    here, left = np.zeros(TILE_PX), np.zeros(TILE_PX)
    for start in range(np.uintp(0), pixels, TILE_PX):
        many = min(TILE_PX, pixels - start)
        tile_used = used[start : start + many]
        tile_squares, tile_pairs = squares[start : start + many], pairs[start : start + many]
        tile_maximum = maximum[start : start + many]
        for pattern in range(patterns):
            place = pattern % width
            has_left, has_right = place > 0, place + np.uintp(1) < width
            weight = (1.0 if has_left else 0.0) + (1.0 if has_right else 0.0)
            sums = regions[region[pattern], start : start + many]
            own = values[pattern, start : start + many]
            in_total, empty = 0.0, 0
            for i in range(many):
                one = np.float64(own[i])
                one = one if 0 < one < np.inf else 0.0
                here[i] = one
                sums[i] += one
                tile_pairs[i] += weight * one
                tile_maximum[i] = max(tile_maximum[i], one)
                in_total += tile_used[i] * one
                empty += one == 0
            if has_left:
                for i in range(many):
                    change = here[i] - left[i]
                    tile_squares[i] += change * change
            total[pattern] += in_total
            zeros += empty
            here, left = left, here
    return zeros
