"""Find the reflections of components: where they are, and how surely.

How bright a reflection is says how thick a crystal is and how it is tilted: in dynamical
diffraction a quarter of a degree changes it several-fold. Where it is says which crystal it is.
Places are therefore looked for, each with how surely it is there.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage, signal

from orimap.tasks.decide.components.likeness import SIGNIFICANT

# A pixel counts as part of a disc where its centre is within this share of the radius, and .3 px:
# the rim, where pixels are filled in part, would add more noise than signal.
DISC_SHARE = 0.8
# Where no direct beam was found there is no disc to measure: that of a focused beam, in pixels.
USUAL_RADIUS_PX = 2.0
# Of a line, this part of the excess goes on to both sides, twice the radius far.
ON_A_LINE = 0.7


@dataclass(frozen=True)
class Reflections:
    """What stands out of components.

    Parameters
    ----------
    excess : (component, detector_y, detector_x) array, electrons
        Mean over a disc at each pixel above the background; 0 at pixels left out.
    noise : (component, detector_y, detector_x) array, electrons
        Its standard deviation.
    significance : (component, detector_y, detector_x) array
        Their ratio.
    is_place : (component, detector_y, detector_x) array of bool
        Where that is largest within a disc, and significant.
    """

    excess: np.ndarray
    noise: np.ndarray
    significance: np.ndarray
    is_place: np.ndarray

    @cached_property
    def height(self) -> np.ndarray:
        """Logarithm of the significance at each pixel, (component, detector_y, detector_x)."""
        return np.log1p(np.maximum(self.significance, 0) / SIGNIFICANT)


def find_reflections(
    counts: np.ndarray, background: np.ndarray, left_out: np.ndarray, radius_px: float
) -> Reflections:
    """Look for discs as large as the direct beam above the background of components.

    Parameters
    ----------
    counts : (component, detector_y, detector_x) array, electrons
        Component patterns times all their weights.
    background : (component, detector_y, detector_x) array, electrons
        From ``likeness.backgrounds``.
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels.
    radius_px : float
        Of a disc.

    Notes
    -----
    The noise is that of counting the background, or what is measured about the median of the
    component where that is more: values that are no counts, speckle, and what a factorisation adds.
    """
    disc = disc_of(radius_px)
    excess = np.where(left_out, 0.0, counts - background)
    # Mirrored at the edges, where a disc would be cut and a line of the camera end.
    half = len(disc) // 2
    excess = np.pad(excess, ((0, 0), (half, half), (half, half)), mode="symmetric")
    excess = signal.fftconvolve(excess, disc[None], mode="valid", axes=(1, 2))
    noise = np.sqrt(np.maximum(background, 1.0) * (disc**2).sum())
    # Beside what is left out, a disc is cut and the background uncertain.
    near = ndimage.distance_transform_edt(~left_out) <= radius_px + 1
    if not near.all():
        inside = (excess / noise)[:, ~near]
        deviation = np.abs(inside - np.median(inside, axis=1, keepdims=True))
        # 1.4826 times its median is the standard deviation of a normal law.
        spread = 1.4826 * np.median(deviation, axis=1)
        noise = noise * np.maximum(spread, 1.0)[:, None, None]
    excess[:, near] = 0
    size = 2 * max(1, round(DISC_SHARE * radius_px)) + 1
    largest = ndimage.maximum_filter(excess, size=(1, size, size))
    significance = excess / noise
    is_place = (excess == largest) & (significance >= SIGNIFICANT) & ~_on_a_line(excess, radius_px)
    return Reflections(excess, noise, significance, is_place)


def _on_a_line(excess: np.ndarray, radius_px: float) -> np.ndarray:
    """Return where the excess goes on to both sides: rows and columns of a camera, no discs."""
    far = [round(radii * radius_px) for radii in (-2.0, -1.5, 1.5, 2.0)]
    found = np.zeros(excess.shape, bool)
    for axis in (1, 2):
        along = np.full(excess.shape, np.inf)
        for step in far:
            offset = np.where(np.arange(3) == axis, step, 0)
            beside = ndimage.shift(excess, offset, order=0, mode="nearest")
            np.minimum(along, beside, out=along)
        found |= (along >= ON_A_LINE * excess) & (excess > 0)
    return found


def disc_of(radius_px: float) -> np.ndarray:
    """Return the pixels of a disc, of sum 1."""
    reach = max(1.0, DISC_SHARE * radius_px) + 0.3
    half = int(np.ceil(reach))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    disc = (np.hypot(y, x) <= reach).astype(float)
    return disc / disc.sum()
