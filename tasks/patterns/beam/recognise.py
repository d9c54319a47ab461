"""Recognise the direct beam: where to look for it, what it looks like, and whether it is one.

A beam stop, a beam that is blocked, a halo or a camera's image of something else must not be
centred on: everything here that finds something also has a reason to doubt it.
"""

from dataclasses import dataclass

import numpy as np

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc, beam_disc
from orimap.tasks.patterns.beam.descan import SmoothFit, fit_smooth
from orimap.tasks.patterns.beam.position import (
    Probe,
    Window,
    beam_candidates,
    disc_level,
    falling_radius,
    radial_profile,
    seed_radius,
)

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

# Rounds of finding the discs and learning their profile; after two the radius has settled.
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


def doubt_about_places(fit: SmoothFit | None, radius: float) -> str | None:
    """Return why the positions found are not those of one beam, None where they are."""
    measured = np.count_nonzero(np.isfinite(fit.position[:, 0])) if fit else 0
    if fit is None or np.count_nonzero(fit.near) < SMALLEST_NEAR_SHARE * measured:
        return "the brightest disc is not where a smooth surface through the others has it"
    if fit.scatter_px > LARGEST_SCATTER_RADII * max(1.0, radius):
        return f"what is brightest near the centre moves by {fit.scatter_px:.1f} px at random"
    return None
