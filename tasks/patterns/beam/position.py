"""Find the direct beam in single patterns, to a fraction of a pixel.

The beam is a disc of known radius. A window of the detector that holds it at every scan position is
searched for the brightest discs, and each is placed where the electrons around it are most likely,
given the mean profile of the disc. That profile has weight only where the disc stands out of its
background, so a strong reflection beside the beam does not pull, as it pulls a centre of mass.
Which of the discs found is the direct beam is decided over the whole scan
(`orimap.tasks.patterns.beam.descan`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

# Discs looked for in a pattern: where a grain scatters strongly, reflections beside the direct beam
# may be brighter than it.
CANDIDATES = 3
# Resolution of the table of weights, which is by squared distance: a step of 1/80 px at 2.5 px.
WEIGHTS_PER_PX2 = 16
# Bins of the mean profile of the disc.
PROFILE_BIN_PX = 0.25
# The profile counts as disc where it exceeds this share of its maximum: tails of the beam carry
# little about its place, and reflections lie in them.
PROFILE_FLOOR = 0.1
# Two discs touch at a lag of twice their radius; their autocorrelation is half at this many radii.
AUTOCORRELATION_HALF_RADII = 0.808
# Discs smaller than a pixel are a pixel to the search.
SMALLEST_RADIUS_PX = 0.7


@dataclass(frozen=True)
class Window:
    """The part of the detector that is searched, rows ``y0:y1`` and columns ``x0:x1``.

    Parameters
    ----------
    y0, y1, x0, x1 : int
    holes : (hole, 2) int array
        Pixels to leave out, counted from the corner of the window.
    """

    y0: int
    y1: int
    x0: int
    x1: int
    holes: np.ndarray

    def cut(self, patterns: np.ndarray) -> np.ndarray:
        """Return the window of patterns (..., detector_y, detector_x) as (n, y, x) float32.

        Values that are negative or not finite become 0.
        """
        part = patterns[..., self.y0 : self.y1, self.x0 : self.x1]
        part = part.reshape(-1, *part.shape[-2:]).astype(np.float32)
        return np.maximum(np.nan_to_num(part, copy=False, nan=0, posinf=0, neginf=0), 0)


@dataclass(frozen=True)
class Probe:
    """What the beam looks like: its radius, and how much a pixel speaks for it.

    Parameters
    ----------
    radius : float, pixels
    weights : (bin,) float32 array
        Weight by squared distance from the centre, in steps of 1/`WEIGHTS_PER_PX2` px².
    """

    radius: float
    weights: np.ndarray

    @classmethod
    def of_radius(cls, radius: float) -> "Probe":
        """Return a uniform disc whose edge is a pixel wide."""
        radius = max(SMALLEST_RADIUS_PX, radius)
        distance = _table_distances(radius + 0.5)
        return cls(radius, np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32))

    @classmethod
    def of_profile(cls, profile: np.ndarray, radius: float) -> "Probe":
        """Return the weights that make a sum over a pattern the log-likelihood of a position.

        Parameters
        ----------
        profile : (bin,) array
            Mean intensity by distance from the centre (`radial_profile`).
        radius : float, pixels
            Where it falls to half.

        Notes
        -----
        Counts that are Poisson with means p(d) have the log-likelihood Σ v log p(d), up to what
        does not depend on the position, as long as the whole disc lies in the window.
        """
        radius = max(SMALLEST_RADIUS_PX, radius)
        level, background = disc_level(profile, radius)
        if level <= 0:
            return cls.of_radius(radius)
        falling = np.minimum.accumulate(np.minimum(profile, level))
        weight = np.log(np.maximum(falling / max(background, PROFILE_FLOOR * level), 1))
        centres = (np.arange(len(profile)) + 0.5) * PROFILE_BIN_PX
        beyond = np.flatnonzero((weight <= 0) | (centres > radius + 2))
        reach = centres[beyond[0]] if beyond.size else centres[-1]
        weight[centres >= reach] = 0
        return cls(radius, np.interp(_table_distances(reach), centres, weight).astype(np.float32))


class Lit(NamedTuple):
    """Pixels that are not dark: where they are and how bright; a tuple, for compiled loops.

    Parameters
    ----------
    y, x : (pixel,) arrays
    value : (pixel,) array
    """

    y: np.ndarray
    x: np.ndarray
    value: np.ndarray


def disc_level(profile: np.ndarray, radius: float) -> tuple[float, float]:
    """Return the level of a disc within half its radius, and of what surrounds it.

    ``profile`` is by distance in bins of `PROFILE_BIN_PX`; the surroundings are its lowest value
    from one and a half to three radii, since reflections may lie there too.
    """
    edges = np.arange(len(profile) + 1) * PROFILE_BIN_PX
    area = np.diff(edges**2)
    inner = edges[1:] <= max(radius / 2, 2 * PROFILE_BIN_PX)
    level = float(np.average(profile[inner], weights=area[inner]))
    around = (edges[:-1] >= 1.5 * radius) & (edges[1:] <= 3 * radius + 1)
    return level, float(profile[around].min()) if around.any() else float(profile[-1])


def seed_radius(windows: np.ndarray) -> float:
    """Estimate the radius of the discs from the autocorrelation of patterns, wherever they lie.

    Parameters
    ----------
    windows : (pattern, y, x) array

    Returns
    -------
    float, pixels
        From the lag at which the autocorrelation falls to half, on top of its slow part. The lag 0
        is left out: there the counting noise correlates with itself.
    """
    _, rows, columns = windows.shape
    shape = (2 * rows, 2 * columns)
    power = np.zeros((shape[0], shape[1] // 2 + 1))
    for window in windows:
        power += np.abs(np.fft.rfft2(window, shape)) ** 2
    correlation = np.fft.irfft2(power, shape)
    lag_y, lag_x = (np.fft.fftfreq(side, 1 / side) for side in shape)
    lag = np.rint(np.hypot(lag_y[:, None], lag_x)).astype(int)
    near = lag <= min(rows, columns) // 2
    # Fewer pixels overlap at larger lags.
    overlap = np.outer(rows - np.abs(lag_y), columns - np.abs(lag_x))
    sums = np.bincount(lag[near], correlation[near])
    curve = sums / np.maximum(np.bincount(lag[near], overlap[near]), 1)
    if len(curve) < 4 or curve[1] <= 0:
        return SMALLEST_RADIUS_PX
    curve[0] = 2 * curve[1] - curve[2]
    half = (curve[0] + curve.min()) / 2
    below = np.flatnonzero(curve <= half)
    if not below.size or below[0] == 0:
        return SMALLEST_RADIUS_PX
    after = below[0]
    part = (curve[after - 1] - half) / max(curve[after - 1] - curve[after], 1e-30)
    return max(SMALLEST_RADIUS_PX, (after - 1 + part) / AUTOCORRELATION_HALF_RADII)


def radial_profile(windows: np.ndarray, positions: np.ndarray, reach: float) -> np.ndarray:
    """Return the mean intensity by distance from each pattern's own centre.

    Parameters
    ----------
    windows : (pattern, y, x) array
    positions : (pattern, 2) array, pixels
        Centres (y, x) in the window, sub-pixel; patterns with NaN are left out.
    reach : float, pixels
        The largest distance.

    Returns
    -------
    (bin,) float64 array
        In bins of `PROFILE_BIN_PX`. Distances are to the sub-pixel centres, so that nothing is
        interpolated. Bins without a pixel get their neighbours' level.
    """
    bins = int(np.ceil(reach / PROFILE_BIN_PX))
    sums, pixels = np.zeros(bins), np.zeros(bins)
    y, x = (np.arange(side) for side in windows.shape[1:])
    for window, centre in zip(windows, positions, strict=True):
        if not np.isfinite(centre).all():
            continue
        distance = np.hypot(y[:, None] - centre[0], x - centre[1])
        near = distance < reach
        place = (distance[near] / PROFILE_BIN_PX).astype(int)
        sums += np.bincount(place, window[near], minlength=bins)[:bins]
        pixels += np.bincount(place, minlength=bins)[:bins]
    some = pixels > 0
    if not some.any():
        return np.zeros(bins)
    return np.interp(np.arange(bins), np.flatnonzero(some), sums[some] / pixels[some])


def falling_radius(profile: np.ndarray, guess: float, share: float = 0.5) -> float:
    """Return the distance at which a profile falls to a share of the disc above its surroundings.

    Parameters
    ----------
    profile : (bin,) array
        By distance in bins of `PROFILE_BIN_PX`.
    guess : float, pixels
        About the radius; returned where the profile never falls so far.
    share : float
        One half for the radius.
    """
    level, background = disc_level(profile, guess)
    wanted = background + share * (level - background)
    # From outside in: noise in the few pixels near the centre is no edge.
    start = min(len(profile) - 1, int((3 * guess + 1) / PROFILE_BIN_PX))
    lowest = int(np.argmin(profile[: start + 1]))
    above = np.flatnonzero(profile[:lowest] > wanted)
    if not above.size:
        return guess
    last = above[-1]
    drop = max(profile[last] - profile[last + 1], 1e-30)
    return float((last + 0.5 + (profile[last] - wanted) / drop) * PROFILE_BIN_PX)


def beam_candidates(windows: np.ndarray, holes: np.ndarray, probe: Probe) -> np.ndarray:
    """Return where the brightest discs of each pattern lie in its window.

    Parameters
    ----------
    windows : (pattern, y, x) float32 array
    holes : (hole, 2) int array
        Pixels that are replaced by the mean of their neighbours.
    probe : Probe

    Returns
    -------
    (pattern, `CANDIDATES`, 3) float32 array
        y and x in the window, in pixels, and the sum of the intensity within the radius; the
        brightest first. NaN where a pattern has no further disc, or nothing at all.
    """
    reach = int(np.floor(probe.radius))
    runs = np.floor(np.sqrt(probe.radius**2 - np.arange(-reach, reach + 1) ** 2)).astype(np.int64)
    found = np.full((len(windows), CANDIDATES, 3), np.nan, np.float32)
    suppressed_px2 = max(2.0, 2 * probe.radius) ** 2
    _find_discs(windows, holes, runs, probe.weights, suppressed_px2, found)
    return found


def _table_distances(reach: float) -> np.ndarray:
    """Distances of the entries of a table of weights that ends at ``reach``, where it is 0."""
    return np.sqrt((np.arange(int(reach**2 * WEIGHTS_PER_PX2) + 2) + 0.5) / WEIGHTS_PER_PX2)


@numba.njit(cache=True, nogil=True)
def _find_discs(
    windows: np.ndarray,
    holes: np.ndarray,
    runs: np.ndarray,
    weights: np.ndarray,
    suppressed_px2: float,
    found: np.ndarray,
) -> None:
    """Write the brightest discs of every window, placed to a fraction of a pixel."""
    patterns, rows, columns = windows.shape
    reach = (len(runs) - 1) // 2
    near = int(np.ceil(np.sqrt(len(weights) / WEIGHTS_PER_PX2))) + 3
    is_hole = np.zeros((rows, columns), np.bool_)
    for hole in range(len(holes)):
        is_hole[holes[hole, 0], holes[hole, 1]] = True
    image = np.empty((rows, columns), np.float32)
    before = np.zeros((rows, columns + 1))
    score = np.empty((rows, columns))
    lit_y, lit_x = np.empty((2 * near + 1) ** 2), np.empty((2 * near + 1) ** 2)
    lit = np.empty((2 * near + 1) ** 2)
    for pattern in range(patterns):
        image[:] = windows[pattern]
        for hole in range(len(holes)):
            y, x = holes[hole]
            image[y, x] = _neighbour_mean(windows[pattern], is_hole, y, x)
        # Sums over a disc, from the running sums of its rows.
        for y in range(rows):
            for x in range(columns):
                before[y, x + 1] = before[y, x] + image[y, x]
        for y in range(reach, rows - reach):
            for x in range(reach, columns - reach):
                total = 0.0
                for dy in range(-reach, reach + 1):
                    run = runs[dy + reach]
                    total += before[y + dy, x + run + 1] - before[y + dy, x - run]
                score[y, x] = total
        for candidate in range(found.shape[1]):
            best, best_y, best_x = 0.0, -1, -1
            for y in range(reach, rows - reach):
                for x in range(reach, columns - reach):
                    if score[y, x] > best:
                        best, best_y, best_x = score[y, x], y, x
            if best_y < 0:
                break
            count = 0
            for y in range(max(0, best_y - near), min(rows, best_y + near + 1)):
                for x in range(max(0, best_x - near), min(columns, best_x + near + 1)):
                    if image[y, x] > 0:
                        lit_y[count], lit_x[count], lit[count] = y, x, image[y, x]
                        count += 1
            around = Lit(lit_y[:count], lit_x[:count], lit[:count])
            y, x = _most_likely(around, weights, best_y, best_x)
            found[pattern, candidate, 0] = y
            found[pattern, candidate, 1] = x
            found[pattern, candidate, 2] = best
            for y in range(reach, rows - reach):
                for x in range(reach, columns - reach):
                    if (y - best_y) ** 2 + (x - best_x) ** 2 < suppressed_px2:
                        score[y, x] = 0


@numba.njit(cache=True, nogil=True)
def _neighbour_mean(image: np.ndarray, is_hole: np.ndarray, y: int, x: int) -> float:
    """Mean of the neighbours of a pixel that are no holes; 0 without any."""
    total, count = 0.0, 0
    for v in range(max(0, y - 1), min(image.shape[0], y + 2)):
        for u in range(max(0, x - 1), min(image.shape[1], x + 2)):
            if not is_hole[v, u]:
                total += image[v, u]
                count += 1
    return total / count if count else 0.0


@numba.njit(cache=True, nogil=True)
def _most_likely(lit: Lit, weights: np.ndarray, y: int, x: int) -> tuple[float, float]:
    """Climb from a pixel to the position of the largest weighted sum, by parabolas."""
    y, x = float(y), float(x)
    for step in (1.0, 0.5, 0.5, 0.5):
        here = _weighted_sum(lit, weights, y, x)
        up = _weighted_sum(lit, weights, y - step, x)
        down = _weighted_sum(lit, weights, y + step, x)
        left = _weighted_sum(lit, weights, y, x - step)
        right = _weighted_sum(lit, weights, y, x + step)
        y += step * _vertex(up, here, down)
        x += step * _vertex(left, here, right)
    return y, x


@numba.njit(cache=True, nogil=True)
def _weighted_sum(lit: Lit, weights: np.ndarray, y: float, x: float) -> float:
    """Sum of the intensities, each times the weight of its distance from (y, x)."""
    total = 0.0
    for pixel in range(len(lit.value)):
        squared = (lit.y[pixel] - y) ** 2 + (lit.x[pixel] - x) ** 2
        place = int(squared * WEIGHTS_PER_PX2)
        if place < len(weights):
            total += lit.value[pixel] * weights[place]
    return total


@numba.njit(cache=True, nogil=True)
def _vertex(before: float, here: float, after: float) -> float:
    """Where a parabola through three values one apart has its maximum, at most one away."""
    bend = before - 2 * here + after
    if bend >= 0:
        return 1.0 if after > before else (-1.0 if before > after else 0.0)
    return min(1.0, max(-1.0, (before - after) / (2 * bend)))
