"""Dark fields: how bright the reflection at each place is at every position, without background.

The map of one reflection's intensity, a virtual dark field, shows where the crystal lies that it
belongs to. The diffuse background is taken away first: a smooth function of the angle to the direct
beam, fitted to the pixels between all reflections of the scan. Everything is linear in the pattern,
and the patterns are known through their sketch: dark fields cost no pass over the scan, and are
never written out for all positions.

Dark fields were factorised before by Martineau et al. (2019, doi:10.1186/s40679-019-0063-3) and
Bergh et al. (2020, doi:10.1111/jmi.12850).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage, signal

from orimap.tasks.decide.components.reflections import disc_of

# The background changes over this share of the distance to the direct beam, and not within so many
# pixels.
CHANGES_OVER = 0.15
CHANGES_PX = 2.0
# Around a disc, beginning and end of the ring for what the smooth background leaves, in radii and
# pixels; it takes some pixels to be of use.
RING = ((1.0, 1.5), (2.5, 2.5))
RING_PIXELS = 12
# Images that are looked at together: bounds the memory.
IMAGES_AT_ONCE = 8
# So far around a place, beyond the radius, a reflection may reach.
REACH_PX = 1.5
# Where there is hardly any background it is taken to be this part of the mean one.
DARKEST_BACKGROUND = 1e-3
# No background is known better than to this part of it: speckle, and what no smooth function fits.
BACKGROUND_ERROR = 0.01
# Keeps functions apart that no pixel can tell apart.
RIDGE = 1e-6
# It takes this number of pixels for each function to fit them.
PIXELS_A_FUNCTION = 3


@dataclass(frozen=True)
class DarkFields:
    """Intensities of reflections over the scan, in low-rank form.

    Parameters
    ----------
    scan : (positions, l) array
        Every pattern's coordinates.
    net : (l, place) array
        ``scan @ net`` is the intensity of the disc at each place, without its background.
    whole : (l, place) array
        The same with the background: what its noise follows from.
    background : (l,) array
        ``scan @ background`` is the intensity of the smooth background.
    places : (place, 2) array of int
        Row and column on the detector.
    scan_shape : pair of int
    dispersion : float
        Variance of an intensity over its mean: 1 for counts.
    pedestal : float
        Part of every pixel's intensity that stands for the noise of read-out: noisy as any, but
        known exactly.
    disc_pixels : float
        Pixels of a disc.
    """

    scan: np.ndarray
    net: np.ndarray
    whole: np.ndarray
    background: np.ndarray
    places: np.ndarray
    scan_shape: tuple[int, int]
    dispersion: float = 1.0
    pedestal: float = 0.0
    disc_pixels: float = 0.0

    @property
    def background_weights(self) -> np.ndarray:
        """Intensity of the smooth background at every position, at least 0."""
        return np.maximum(self.scan @ self.background, 0.0)

    @cached_property
    def _below(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean background of the disc at each place, and how much of that positions have."""
        below = self.whole - self.net
        mean = np.maximum(self.scan.mean(axis=0) @ below, 0.0)
        total = np.maximum(self.scan @ below.sum(axis=1), 0.0)
        mean = np.maximum(mean, max(DARKEST_BACKGROUND * float(mean.mean()), 1e-300))
        return mean, total / max(float(total.mean()), 1e-300)

    def expected_noise(self, positions: slice, intensity: np.ndarray) -> np.ndarray:
        """Return the counting variance of discs, (positions, place), for an expected intensity.

        The background below them is taken to be of the same form everywhere.
        """
        mean, brightness = self._below
        below = np.maximum(brightness[positions, None], DARKEST_BACKGROUND) * mean
        return self.dispersion * (below + np.maximum(intensity, 0.0))

    def noise(self, shares: np.ndarray) -> np.ndarray:
        """Return the variance (component, place) of what components have at each place.

        Parameters
        ----------
        shares : (positions, component) array
            How much of each position is theirs.
        """
        held = shares.T @ self.scan
        whole = np.maximum(held @ self.whole, 1.0)
        known = shares.sum(axis=0)[:, None] * (self.pedestal * self.disc_pixels)
        below = np.maximum(whole - held @ self.net - known, 0.0)
        return whole * self.dispersion + (BACKGROUND_ERROR * below) ** 2


def dark_fields(
    scan: np.ndarray,
    images: np.ndarray,
    places: np.ndarray,
    left_out: np.ndarray,
    centre: tuple[float, float],
    *,
    radius_px: float,
    scan_shape: tuple[int, int],
    dispersion: float = 1.0,
    pedestal: float = 0.0,
) -> DarkFields:
    """Work out the dark fields of a scan.

    Parameters
    ----------
    scan, images : (positions, l) and (l, detector_y, detector_x) arrays
        Their product is the patterns.
    places : (place, 2) array of int
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels.
    centre : pair of float
        Of the direct beam.
    radius_px : float
        Of a disc.
    scan_shape : pair of int
    dispersion, pedestal : float
        As in `DarkFields`.
    """
    at = np.zeros(left_out.shape, bool)
    at[tuple(places.T)] = True
    free = (ndimage.distance_transform_edt(~at) > radius_px + REACH_PX) & ~left_out
    mean = np.tensordot(scan.mean(axis=0), images, axes=1)
    background = _SmoothBackground.of(mean, free, centre)
    disc, ring = (disc_of(radius_px) > 0).astype(float), _ring(radius_px)
    area = _around(np.ones((1, *left_out.shape)), disc)[0]
    pixels = _around(free[None].astype(float), ring)[0]
    share = np.where(pixels >= RING_PIXELS, area / np.maximum(pixels, 1.0), 0.0)
    net, whole = (np.empty((len(images), len(places))) for _ in range(2))
    total = np.empty(len(images))
    chosen = (slice(None), *places.T)
    for at_once in range(0, len(images), IMAGES_AT_ONCE):
        part = slice(at_once, at_once + IMAGES_AT_ONCE)
        smooth = background.below(images[part])
        above = images[part] - smooth
        left = _around(above, disc) - share * _around(np.where(free, above, 0.0), ring)
        net[part], whole[part] = left[chosen], _around(images[part], disc)[chosen]
        total[part] = smooth[:, ~left_out].sum(axis=1)
    return DarkFields(
        scan, net, whole, total, places, scan_shape, dispersion, pedestal, float(disc.sum())
    )


@dataclass(frozen=True)
class _SmoothBackground:
    """Smooth functions of the distance to the direct beam, and of the direction.

    Parameters
    ----------
    basis : (function, pixels) array
        A single one that is zero, where too few pixels are free to fit any.
    fit : (function, free pixels) array
        ``fit @ image`` are the factors of the functions, each pixel weighted by its noise.
    free : (pixels,) array of bool
        Free of reflections: only these count.
    """

    basis: np.ndarray
    fit: np.ndarray
    free: np.ndarray

    @classmethod
    def of(
        cls, mean: np.ndarray, free: np.ndarray, centre: tuple[float, float]
    ) -> "_SmoothBackground":
        """Lay functions around the direct beam, as wide as the background changes there."""
        row, column = np.indices(free.shape)
        y, x = row - centre[0], column - centre[1]
        distance = np.hypot(y, x)
        direction = np.maximum(distance, 1e-9)
        functions: list[np.ndarray] = []
        knot, last = 0.0, float(distance.max())
        while not functions or knot < last:
            width = max(CHANGES_PX, CHANGES_OVER * knot)
            bell = np.exp(-0.5 * ((distance - knot) / width) ** 2)
            functions += [bell, bell * y / direction, bell * x / direction]
            knot += width
        basis = np.stack(functions).reshape(len(functions), -1)
        inside = free.ravel()
        if np.count_nonzero(inside) < PIXELS_A_FUNCTION * len(basis):
            nothing = np.zeros((1, basis.shape[1]))
            return cls(nothing, nothing[:, inside], inside)
        weight = 1 / np.maximum(mean.ravel()[inside], max(1e-6 * float(mean.max()), 1e-200))
        weighted = basis[:, inside] * weight
        gram = weighted @ basis[:, inside].T
        gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        return cls(basis, np.linalg.solve(gram, weighted), inside)

    def below(self, images: np.ndarray) -> np.ndarray:
        """Return the smooth part of images (..., detector_y, detector_x)."""
        flat = images.reshape(len(images), -1)
        return (flat[:, self.free] @ self.fit.T @ self.basis).reshape(images.shape)


def _around(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Sum every image over a symmetric kernel around each pixel; nothing lies beyond the edges."""
    return signal.fftconvolve(images, kernel[None], mode="same", axes=(1, 2))


def _ring(radius_px: float) -> np.ndarray:
    """Return the pixels of the ring around a disc, as 0 and 1."""
    (near, beyond), (far, outer) = RING
    start, end = near * radius_px + beyond, far * radius_px + outer
    half = int(np.ceil(end))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    distance = np.hypot(y, x)
    return ((distance >= start) & (distance <= end)).astype(float)
