"""The direct beam in the mean pattern, where defects are judged by other rules."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BeamDisc:
    """Where the direct beam lies on the detector, in pixels."""

    y: float
    x: float
    radius: float

    def mask(self, shape: tuple[int, int], *, times: float = 1.0) -> np.ndarray:
        """Return the pixels within ``times`` the radius, as (detector_y, detector_x) booleans."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        return (y - self.y) ** 2 + (x - self.x) ** 2 <= (self.radius * times) ** 2


def beam_disc(pattern: np.ndarray) -> BeamDisc:
    """Find the direct beam: the brightest spot of a mean pattern, preferably near its centre.

    Parameters
    ----------
    pattern : (detector_y, detector_x) array
        Mean of patterns spread over the scan.

    Returns
    -------
    BeamDisc
        The centroid of what exceeds half of the spot's maximum, and the radius of a circle of that
        area plus one pixel for its soft edge; from 1.5 px to a quarter of the pattern's side.
        Brightness is weighted by a Gaussian about the centre, a quarter of the side wide, so that
        a strong reflection far out is not taken for the beam.
    """
    from scipy import ndimage

    shape = pattern.shape
    side = min(shape)
    # Single bright pixels are lowered to their neighbourhood: they are no beam.
    quiet = np.asarray(pattern, dtype=float)
    quiet = np.minimum(quiet, neighbour_rank(quiet, 2))
    smooth = ndimage.gaussian_filter(quiet, max(0.7, side / 128))
    y, x = np.ogrid[: shape[0], : shape[1]]
    away = (y - (shape[0] - 1) / 2) ** 2 + (x - (shape[1] - 1) / 2) ** 2
    weighted = smooth * np.exp(-away / (2 * (side / 4) ** 2))
    peak = np.unravel_index(np.argmax(weighted), shape)
    if smooth[peak] <= 0:
        return BeamDisc((shape[0] - 1) / 2, (shape[1] - 1) / 2, max(1.5, side / 16))
    parts, _ = ndimage.label(smooth >= smooth[peak] / 2)
    spot = parts == parts[peak]
    centre = ndimage.center_of_mass(smooth * spot)
    radius = np.sqrt(np.count_nonzero(spot) / np.pi) + 1
    return BeamDisc(float(centre[0]), float(centre[1]), float(np.clip(radius, 1.5, side / 4)))


def neighbour_rank(image: np.ndarray, rank: int) -> np.ndarray:
    """Return the ``rank``-th largest of the up to eight neighbours of every pixel.

    Parameters
    ----------
    image : (..., detector_y, detector_x) array
    rank : int
        1 for the largest.
    """
    low = -np.inf
    padded = np.pad(image, [(0, 0)] * (image.ndim - 2) + [(1, 1), (1, 1)], constant_values=low)
    rows, columns = image.shape[-2:]
    largest = np.full((rank, *image.shape), low)
    for dy in range(3):
        for dx in range(3):
            if dy == dx == 1:
                continue
            value = padded[..., dy : dy + rows, dx : dx + columns]
            for place in range(rank):
                larger = np.maximum(largest[place], value)
                value = np.minimum(largest[place], value)
                largest[place] = larger
    return largest[-1]
