"""Measure how the direct beam wanders over the scan, and whether moving it back is worth it.

What is corrected is only what is smooth over the scan and clearly larger than its own error. The
correction moves whole pixels, so that counts stay counts; it cannot help where the beam moves by
less than a pixel.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.beam_position import (
    CANDIDATES,
    Probe,
    Window,
    beam_candidates,
    disc_level,
    falling_radius,
    radial_profile,
    seed_radius,
)
from orimap.tasks.defects import BeamDisc, beam_disc
from orimap.tasks.descan import SmoothFit, fit_smooth
from orimap.tasks.patterns import PatternSource
from orimap.tasks.streaming import Block, Progress, broadcast, map_blocks, silent

# On a smaller detector a disc and what surrounds it cannot be told apart.
SMALLEST_DETECTOR_PX = 16
# The beam's region in the mean pattern: what exceeds this share of its maximum. A beam that wanders
# evenly is drawn out evenly; where it rests it is brighter than on the way.
CONTOUR = 0.2
# A region larger than this share of the detector is no beam.
LARGEST_SHARE = 1 / 6
# A beam with a radius larger than this share of the detector's side cannot be told from background.
LARGEST_RADIUS_SHARE = 1 / 6
# Where the beam is expected: within about this share of the detector's side of its centre.
CENTRAL_SHARE = 0.25
# Around the region, room for the disc and for seeing that it ends.
MARGIN_RADII = 2.5
MARGIN_PX = 3

# The disc is learnt from patches of 3×3 positions at 6×6 places of the scan: 324 patterns are
# enough at 10 electrons a disc, and lie in at most a few dozen blocks.
SAMPLE_PLACES_A_SIDE = 6
SAMPLE_PATCH = 3
LEARNING_ROUNDS = 4

# A direct beam: so much of its level is missing around it,
SMALLEST_CONTRAST = 0.4
# its half-maximum contour is no longer than this many widths (the rim of a beam stop is),
LARGEST_ELONGATION = 1.6
# its edge falls from three quarters to one within this share of its radius (a disc and a pixel's
# blur: a fifth at 5 px; a Gaussian: .77); a small one, as a share of the detector's side, may be
# soft, as with precession,
LARGEST_EDGE_RADII = 0.6
LARGEST_SOFT_RADIUS_SHARE = 1 / 12
# and a disc lies near one smooth surface in this share of the patterns that are not empty,
SMALLEST_NEAR_SHARE = 0.8
# to within this share of its radius (positions drawn from all over a disc have half a radius).
LARGEST_SCATTER_RADII = 0.4
# Background is brightest around the direct beam. Where an area as wide as a disc and a half is
# darker than this share of the usual level around, something stands before the detector.
SHADOW_SHARE = 0.05
SHADOW_RADII = 1.5
SMALLEST_SHADOW_PX = 3.0
# That can be told where the level around is at least this share of the brightest.
SHADOW_FROM_LEVEL = 0.02

# Below a wander of one pixel whole-pixel shifts leave the beam where it is, or make it worse.
SMALLEST_WANDER_PX = 1.0
# Two discs of radius r at a distance d share 1 - 2d/(πr) of their area, and two positions drawn
# from an even drift by w lie w/3 apart: with a quarter of a radius 5 % of the electrons of every
# reflection change pixels between grains of one orientation. Less cannot be seen in a component.
SMALLEST_WANDER_RADII = 0.25
# And no noise: the surface must move by so many times its standard error.
SMALLEST_WANDER_ERRORS = 6.0
# The extremes of a polynomial lie in the corners, where it is known worst; the wander leaves out
# this share of the positions at either end.
EDGE_PERCENT = 0.5


@dataclass(frozen=True)
class Descan:
    """Where the direct beam lies in every pattern, and the smooth part of its wandering.

    Parameters
    ----------
    position : (scan_y, scan_x, 2) float32 array, pixels
        Measured position (y, x) on the detector; NaN where it cannot be measured.
    smooth : (scan_y, scan_x, 2) float32 array, pixels
        A smooth surface through it; constant where there is no beam.
    inlier : (scan_y, scan_x) bool array
        Positions that agree with the surface.
    disc : BeamDisc
        The position that all patterns are moved to, which makes the largest shift smallest, and
        the radius at which the disc falls to half.
    wander_px : float
        How far the surface moves the beam, along the axis where it is more.
    error_px, scatter_px : float
        Standard error of the surface and of one measurement, along one axis; 0 without a beam.
    found : bool
        Whether there is a direct beam.
    worthwhile : bool
        Whether moving it back keeps reflections from being blurred.
    finding : str
        One sentence: what was measured, and why it is worth correcting, or not.
    """

    position: np.ndarray
    smooth: np.ndarray
    inlier: np.ndarray
    disc: BeamDisc
    wander_px: float
    error_px: float
    scatter_px: float
    found: bool
    worthwhile: bool
    finding: str

    @property
    def pixel_shift(self) -> np.ndarray:
        """Whole pixels (scan_y, scan_x, 2), int16, that move each pattern's beam to the disc."""
        return np.rint((self.disc.y, self.disc.x) - self.smooth).astype(np.int16)


@dataclass(frozen=True)
class LearntBeam:
    """What the beam of a scan looks like.

    Parameters
    ----------
    probe : Probe
    contrast : float
        Share of the disc's level that its surroundings lack.
    elongation : float
        Length over width of the half-maximum contour of the aligned mean.
    edge : float, pixels
        Over which its profile falls from three quarters to one quarter.
    """

    probe: Probe
    contrast: float
    elongation: float
    edge: float


def search_window(detector_mean: np.ndarray, valid: np.ndarray) -> tuple[Window, BeamDisc] | None:
    """Return the part of the detector in which the direct beam wanders, and its brightest place.

    Parameters
    ----------
    detector_mean : (detector_y, detector_x) array
        A beam that wanders is drawn out in it.
    valid : (detector_y, detector_x) bool array

    Returns
    -------
    Window and BeamDisc, or None
        None where nothing in the mean pattern is bright and small enough for a direct beam.
    """
    from scipy import ndimage

    if min(detector_mean.shape) < SMALLEST_DETECTOR_PX or not valid.any():
        return None
    smooth = smooth_mean(detector_mean, valid)
    disc = beam_disc(smooth)
    low = np.median(smooth)
    place = round(disc.y), round(disc.x)
    peak = ndimage.maximum_filter(smooth, 3)[place]
    if peak <= low:
        return None
    labelled, _ = ndimage.label(smooth > low + CONTOUR * (peak - low))
    region = (labelled == labelled[place]) & (labelled[place] > 0)
    if not region.any() or region.mean() > LARGEST_SHARE:
        return None
    margin = int(np.ceil(MARGIN_RADII * disc.radius)) + MARGIN_PX
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    y0, x0 = max(0, rows[0] - margin), max(0, columns[0] - margin)
    y1 = min(smooth.shape[0], rows[-1] + 1 + margin)
    x1 = min(smooth.shape[1], columns[-1] + 1 + margin)
    holes = np.argwhere(~valid[y0:y1, x0:x1])
    return Window(int(y0), int(y1), int(x0), int(x1), holes), disc


def smooth_mean(detector_mean: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return a mean pattern, blurred by a pixel, whose masked pixels follow from the others."""
    from scipy import ndimage

    blurred, weight = (
        ndimage.gaussian_filter(values.astype(float), 1.0)
        for values in (np.where(valid, detector_mean, 0), valid)
    )
    return blurred / np.maximum(weight, 1e-6)


def learn_beam(
    windows: np.ndarray,
    places: np.ndarray,
    scan_shape: tuple[int, int],
    holes: np.ndarray,
    *,
    largest_radius: float,
    centre: np.ndarray,
    centre_sigma: float,
) -> LearntBeam | None:
    """Learn what the beam looks like from some patterns, aligned on their own positions.

    Parameters
    ----------
    windows : (pattern, y, x) float32 array
        Patterns in their search window.
    places : (pattern, 2) array
        Where they lie in a scan of ``scan_shape``.
    holes : (hole, 2) int array
    largest_radius : float, pixels
    centre : (2,) array, pixels
        Where in the window the beam is expected, and ``centre_sigma`` how vaguely.

    Returns
    -------
    LearntBeam or None
        None where all patterns are empty.

    Notes
    -----
    The search starts with the radius that the patterns' autocorrelation suggests, which does not
    depend on where the beam lies; the mean pattern of a wandering beam shows no radius.
    """
    probe = Probe.of_radius(min(seed_radius(windows), largest_radius))
    for _ in range(LEARNING_ROUNDS):
        candidates = beam_candidates(windows, holes, probe)
        fit = fit_smooth(
            places, candidates, scan_shape, reach_px(probe.radius), centre, centre_sigma
        )
        if fit is None:
            return None
        own = np.where(fit.inlier[:, None], fit.position, np.nan)
        profile = radial_profile(windows, own, 3 * probe.radius + 2)
        radius = min(falling_radius(profile, probe.radius), largest_radius)
        probe = Probe.of_profile(profile, radius)
    level, background = disc_level(profile, radius)
    contrast = 1 - background / level if level > 0 else 0.0
    outer, inner = (falling_radius(profile, radius, share) for share in (0.25, 0.75))
    return LearntBeam(
        probe,
        contrast,
        elongation(windows, own, radius, (level + background) / 2),
        outer - inner,
    )


def reach_px(radius: float) -> float:
    """Return how far from a smooth surface a disc of a radius may lie to be the beam."""
    return max(1.5, radius)


def elongation(windows: np.ndarray, positions: np.ndarray, radius: float, contour: float) -> float:
    """Return length over width of what exceeds a contour in the aligned mean.

    Parameters
    ----------
    windows : (pattern, y, x) array
    positions : (pattern, 2) array, pixels
        NaN for patterns to leave out.
    radius : float, pixels
    contour : float

    Returns
    -------
    float
        From second moments; infinite where the centre lies below the contour.
    """
    from scipy import ndimage

    half = int(np.ceil(3 * radius)) + 2
    total, count = np.zeros((2, 2 * half + 1, 2 * half + 1))
    for window, centre in zip(windows, positions, strict=True):
        if np.isfinite(centre).all():
            y, x = np.rint(centre).astype(int)
            padded = np.pad(window, half, constant_values=np.nan)
            part = padded[y : y + 2 * half + 1, x : x + 2 * half + 1]
            total += np.nan_to_num(part)
            count += np.isfinite(part)
    labelled, _ = ndimage.label(total > contour * np.maximum(count, 1))
    if labelled[half, half] == 0:
        return np.inf
    pixels = np.argwhere(labelled == labelled[half, half])
    # A pixel has a width of its own: a twelfth of a square pixel.
    spread = np.linalg.eigvalsh(np.atleast_2d(np.cov(pixels.T, bias=True)) + np.eye(2) / 12)
    return float(np.sqrt(spread[1] / spread[0]))


def sample_places(scan_shape: tuple[int, int]) -> np.ndarray:
    """Return row and column (position, 2) of small patches spread evenly over a scan."""

    def along(side: int) -> np.ndarray:
        patches = min(SAMPLE_PLACES_A_SIDE, -(-side // SAMPLE_PATCH))
        starts = np.linspace(0, max(0, side - SAMPLE_PATCH), patches).astype(int)
        return np.unique(starts[:, None] + np.arange(min(SAMPLE_PATCH, side)))

    y, x = np.meshgrid(*map(along, scan_shape), indexing="ij")
    return np.column_stack([y.ravel(), x.ravel()])


def measure_descan(
    client: Any,
    patterns: PatternSource,
    detector_mean: np.ndarray,
    valid: np.ndarray,
    *,
    progress: Progress = silent,
) -> Descan:
    """Measure where the direct beam lies in every pattern, in one pass over them.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
    detector_mean : (detector_y, detector_x) array
    valid : (detector_y, detector_x) bool array
        False for pixels that are masked.
    progress : callable

    Returns
    -------
    Descan
        The same whatever the blocks of the store and the number of workers.
    """
    shape = patterns.scan_shape
    searched = search_window(detector_mean, valid)
    if searched is None:
        return no_beam(shape, detector_mean, valid, "nothing in the mean pattern looks like one")
    window, disc = searched
    corner = np.array([window.y0, window.x0])
    expected = {
        "centre": np.array([disc.y, disc.x]) - corner,
        "centre_sigma": CENTRAL_SHARE * min(patterns.detector_shape),
    }
    sample = sample_places(shape)
    parts = [part for block in patterns.blocks() if len(part := places_within(block, sample))]
    windows = list(map_blocks(client, read_windows, parts, patterns, window))
    # In scan order, whatever the blocks are.
    order = np.lexsort(np.concatenate(parts).T[::-1])
    beam = learn_beam(
        np.concatenate(windows)[order],
        sample,
        shape,
        window.holes,
        largest_radius=LARGEST_RADIUS_SHARE * min(patterns.detector_shape),
        **expected,
    )
    doubt = doubt_about_disc(beam, min(patterns.detector_shape)) or doubt_about_surroundings(
        detector_mean, valid, window, beam.probe.radius
    )
    if doubt:
        return no_beam(shape, detector_mean, valid, doubt)
    candidates = np.full((*shape, CANDIDATES, 3), np.nan, np.float32)
    blocks = patterns.blocks()
    (probe,) = broadcast(client, beam.probe)
    found = map_blocks(client, find_in_block, blocks, patterns, window, probe, progress=progress)
    for block, part in zip(blocks, found, strict=True):
        candidates[block.slices] = part
    places = np.column_stack(np.unravel_index(np.arange(patterns.positions), shape))
    fit = fit_smooth(
        places,
        candidates.reshape(-1, CANDIDATES, 3),
        shape,
        reach_px(beam.probe.radius),
        **expected,
    )
    return judge(fit, beam.probe.radius, shape, corner, detector_mean, valid)


def places_within(block: Block, places: np.ndarray) -> np.ndarray:
    """Return those of some scan places (place, 2) that lie in a block."""
    after = (places >= (block.y0, block.x0)).all(axis=1)
    return places[after & (places < (block.y1, block.x1)).all(axis=1)]


def read_windows(places: np.ndarray, patterns: PatternSource, window: Window) -> np.ndarray:
    """Return the search windows (pattern, y, x) at scan places (pattern, 2), read at once."""
    y0, x0 = (int(first) for first in places.min(axis=0))
    y1, x1 = (int(last) + 1 for last in places.max(axis=0))
    stored = patterns.stored(Block(y0, y1, x0, x1), "raw")
    return window.cut(stored[places[:, 0] - y0, places[:, 1] - x0])


def find_in_block(
    block: Block, patterns: PatternSource, window: Window, probe: Probe
) -> np.ndarray:
    """Return the brightest discs (scan_y, scan_x, candidate, 3) of the patterns of a block."""
    # Read once, since a chunk is decompressed as a whole; cut row by row, since windows in
    # floating point take more than counts.
    rows = patterns.stored(block, "raw")
    return np.stack([beam_candidates(window.cut(row), window.holes, probe) for row in rows])


def doubt_about_disc(beam: LearntBeam | None, side: int) -> str | None:
    """Return why what was learnt is no direct beam on a detector of a side, None where it is."""
    if beam is None:
        return "all patterns are empty where it should be"
    if beam.contrast < SMALLEST_CONTRAST:
        return (
            "the bright centre is no disc: its surroundings are only "
            f"{100 * max(0, beam.contrast):.0f} % dimmer"
        )
    soft = beam.edge > LARGEST_EDGE_RADII * beam.probe.radius
    if soft and beam.probe.radius > LARGEST_SOFT_RADIUS_SHARE * side:
        return (
            f"the bright centre is a halo without an edge (it falls over {beam.edge:.1f} px "
            f"at {beam.probe.radius:.1f} px from its centre)"
        )
    if beam.elongation > LARGEST_ELONGATION:
        return (
            f"what is brightest near the centre is not round ({beam.elongation:.1f} times as long "
            "as wide), as at the rim of a beam stop"
        )
    return None


def doubt_about_surroundings(
    detector_mean: np.ndarray, valid: np.ndarray, window: Window, radius: float
) -> str | None:
    """Return why the window may hold something else than the direct beam, None where not."""
    from scipy import ndimage

    half = int(np.ceil(max(SMALLEST_SHADOW_PX, SHADOW_RADII * radius)))
    y, x = np.ogrid[-half : half + 1, -half : half + 1]
    area = (y**2 + x**2 <= half**2).astype(float)
    area /= area.sum()
    # Beyond the detector's edge the pixels at the edge go on.
    level = ndimage.convolve(np.where(valid, detector_mean, 0).astype(float), area, mode="nearest")
    part = level[window.y0 : window.y1, window.x0 : window.x1]
    usual = np.median(part)
    brightest = smooth_mean(detector_mean, valid)[window.y0 : window.y1, window.x0 : window.x1]
    shadow = part.min() < SHADOW_SHARE * usual
    if shadow and usual >= SHADOW_FROM_LEVEL * brightest.max():
        return "a dark area lies beside what is brightest near the centre, as of a beam stop"
    return None


def judge(
    fit: SmoothFit | None,
    radius: float,
    scan_shape: tuple[int, int],
    corner: np.ndarray,
    detector_mean: np.ndarray,
    valid: np.ndarray,
) -> Descan:
    """Tell from the measured positions whether there is a beam, and whether to move it back.

    Parameters
    ----------
    fit : SmoothFit or None
        Positions from ``corner`` of the search window.
    radius : float, pixels
    scan_shape : (int, int)
    corner : (2,) array, pixels
    detector_mean, valid : (detector_y, detector_x) arrays
        For a place to name where there is no beam.
    """
    doubt = doubt_about_places(fit, radius)
    if doubt:
        return no_beam(scan_shape, detector_mean, valid, doubt)
    smooth = (fit.surface.everywhere() + corner).astype(np.float32)
    low, high = smooth.min(axis=(0, 1)), smooth.max(axis=(0, 1))
    ends = np.percentile(smooth, [EDGE_PERCENT, 100 - EDGE_PERCENT], axis=(0, 1))
    wander = float((ends[1] - ends[0]).max())
    sides = np.array(detector_mean.shape) - 1
    if (low < radius).any() or (high > sides - radius).any():
        return no_beam(
            scan_shape, detector_mean, valid, "the brightest disc reaches over the detector's edge"
        )
    y, x = ((low + high) / 2).astype(float)
    worthwhile, finding = verdict(wander, fit.error_px, fit.scatter_px, radius)
    return Descan(
        position=(fit.position.reshape(*scan_shape, 2) + corner).astype(np.float32),
        smooth=smooth,
        inlier=fit.inlier.reshape(scan_shape),
        disc=BeamDisc(float(y), float(x), radius),
        wander_px=wander,
        error_px=fit.error_px,
        scatter_px=fit.scatter_px,
        found=True,
        worthwhile=worthwhile,
        finding=finding,
    )


def doubt_about_places(fit: SmoothFit | None, radius: float) -> str | None:
    """Return why the positions found are not those of one beam, None where they are."""
    measured = np.count_nonzero(np.isfinite(fit.position[:, 0])) if fit else 0
    if fit is None or np.count_nonzero(fit.near) < SMALLEST_NEAR_SHARE * measured:
        return "the brightest disc is not where a smooth surface through the others has it"
    if fit.scatter_px > LARGEST_SCATTER_RADII * max(1.0, radius):
        return f"what is brightest near the centre moves by {fit.scatter_px:.1f} px at random"
    return None


def verdict(
    wander_px: float, error_px: float, scatter_px: float, radius: float
) -> tuple[bool, str]:
    """Return whether a wander is worth correcting for discs of a radius, and the reason."""
    needed = max(SMALLEST_WANDER_PX, SMALLEST_WANDER_RADII * radius)
    measured = (
        f"the direct beam, a disc of {radius:.1f} px radius, wanders smoothly by "
        f"{wander_px:.1f} ± {error_px:.2f} px over the scan, and by {scatter_px:.2f} px "
        "from pattern to pattern"
    )
    if wander_px < needed:
        return False, f"{measured}: less than the {needed:.1f} px that would blur reflections"
    if wander_px < SMALLEST_WANDER_ERRORS * error_px:
        return False, f"{measured}: that may be an error of measurement"
    return True, f"{measured}: more than {needed:.1f} px, so reflections would be blurred"


def no_beam(
    scan_shape: tuple[int, int], detector_mean: np.ndarray, valid: np.ndarray, reason: str
) -> Descan:
    """Return what to go by where no direct beam is recognised."""
    disc = beam_disc(smooth_mean(detector_mean, valid))
    position = np.full((*scan_shape, 2), np.nan, np.float32)
    smooth = np.empty((*scan_shape, 2), np.float32)
    smooth[:] = disc.y, disc.x
    return Descan(
        position=position,
        smooth=smooth,
        inlier=np.zeros(scan_shape, dtype=bool),
        disc=BeamDisc(float(smooth[0, 0, 0]), float(smooth[0, 0, 1]), disc.radius),
        wander_px=0.0,
        error_px=0.0,
        scatter_px=0.0,
        found=False,
        worthwhile=False,
        finding=f"no direct beam is recognised ({reason}); nothing is moved",
    )
