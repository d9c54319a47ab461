"""Measure how the direct beam wanders over the scan, and whether moving it back is worth it.

What is corrected is only what is smooth over the scan and clearly larger than its own error. The
correction moves whole pixels, so that counts stay counts; it cannot help where the beam moves by
less than a pixel.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc, beam_disc
from orimap.tasks.patterns.beam.descan import SmoothFit, fit_smooth
from orimap.tasks.patterns.beam.position import CANDIDATES, Probe, Window, beam_candidates
from orimap.tasks.patterns.beam.recognise import (
    CENTRAL_SHARE,
    LARGEST_RADIUS_SHARE,
    doubt_about_disc,
    doubt_about_places,
    doubt_about_surroundings,
    learn_beam,
    reach_px,
    search_window,
    smooth_mean,
)
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.stream.blocks import Block, Progress, broadcast, map_blocks, silent

# The disc is learnt from patches of 3×3 positions at 6×6 places of the scan: 324 patterns
# show a disc of 150 electrons well enough, and lie in at most a few dozen blocks.
SAMPLE_PLACES_A_SIDE = 6
SAMPLE_PATCH = 3

# Below a wander of one pixel whole-pixel shifts leave the beam where it is, or make it worse.
SMALLEST_WANDER_PX = 1.0
# Two discs of radius r at a distance d share 1 - 2d/(πr) of their area, and two positions drawn
# from an even drift by w lie w/3 apart: with a quarter of a radius 5 % of the electrons of every
# reflection change pixels between grains of one orientation. Less cannot be seen in a component.
SMALLEST_WANDER_RADII = 0.25
# And no noise: the surface must move by so many times its standard error.
SMALLEST_WANDER_ERRORS = 6.0
# What is known better than this is told to a hundredth of a pixel.
LEAST_ERROR_PX, LEAST_TOLD_PX = 0.005, 0.01
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
    windows = list(map_blocks(client, read_windows, parts, patterns, window, name="sample beam"))
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
    found = map_blocks(
        client, find_in_block, blocks, patterns, window, probe, name="find beam", progress=progress
    )
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


def verdict(
    wander_px: float, error_px: float, scatter_px: float, radius: float
) -> tuple[bool, str]:
    """Return whether a wander is worth correcting for discs of a radius, and the reason."""
    needed = max(SMALLEST_WANDER_PX, SMALLEST_WANDER_RADII * radius)
    measured = (
        f"the direct beam, a disc of {radius:.1f} px radius, moves smoothly over the scan by "
        f"{_wander_text(wander_px, error_px)} (and by {scatter_px:.2f} px from pattern to pattern)"
    )
    if wander_px < needed:
        return False, f"{measured}, less than the {needed:.1f} px that would blur reflections"
    if wander_px < SMALLEST_WANDER_ERRORS * error_px:
        return False, f"{measured}, which may be an error of measurement"
    return True, f"{measured}, more than the {needed:.1f} px that would blur reflections"


def _wander_text(wander_px: float, error_px: float) -> str:
    """Write how far the beam moves, with digits that its error leaves."""
    if error_px >= LEAST_ERROR_PX:
        return f"{wander_px:.1f} ± {error_px:.2f} px"
    if wander_px < LEAST_TOLD_PX:
        return f"less than {LEAST_TOLD_PX} px"
    return f"{wander_px:.2f} px"


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
