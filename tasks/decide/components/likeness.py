"""Compare patterns by their reflections, which distinguish one crystal from another.

Component patterns share the direct beam and the smooth inelastic background, which make any two
look alike. Here both are subtracted, and patterns are compared by what is left.
"""

import numpy as np
from scipy import ndimage

# Diameter of the opening that takes reflections away and keeps the background, as a share of the
# detector's width. Discs are smaller: they do not touch their neighbours a lattice vector away.
OPENING_SHARE = 0.1
# Noise of one pixel is smoothed over about a small disc.
SMOOTHING_PX = 0.7
# An excess over the background counts as a reflection above this many standard deviations: among
# the ten thousand pixels of a component, noise hardly ever makes one.
SIGNIFICANT = 5.0


def opening_size(detector_shape: tuple[int, int]) -> int:
    """Return the odd diameter, in pixels, of the opening for the background."""
    return max(7, int(OPENING_SHARE * min(detector_shape))) | 1


def background_of(images: np.ndarray, size: int) -> np.ndarray:
    """Return the smooth background (..., detector_y, detector_x) below the reflections."""
    flat = (*[1] * (images.ndim - 2),)
    none = (*[0] * (images.ndim - 2),)
    smooth = ndimage.gaussian_filter(images, (*none, 1.5, 1.5))
    opened = ndimage.grey_opening(smooth, size=(*flat, size, size))
    return ndimage.gaussian_filter(opened, (*none, size / 3, size / 3))


def reflection_images(images: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Return the square roots of patterns above their backgrounds.

    Parameters
    ----------
    images : (component, detector_y, detector_x) array
        Component patterns, non-negative.
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels; zero in the result.

    Returns
    -------
    (component, detector_y, detector_x) array
        The root weighs dim reflections beside bright ones and evens out counting noise.
    """
    total = np.maximum(images.sum(axis=(1, 2), keepdims=True), 1e-300)
    root = np.where(left_out, 0.0, np.sqrt(np.maximum(images, 0) / total))
    background = background_of(root, opening_size(images.shape[1:]))
    above = ndimage.gaussian_filter(root, (0, SMOOTHING_PX, SMOOTHING_PX)) - background
    return np.where(ndimage.binary_dilation(left_out), 0.0, np.maximum(above, 0))


def reflection_cosines(reflections: np.ndarray) -> np.ndarray:
    """Compare all pairs of reflection images by their cosine.

    Parameters
    ----------
    reflections : (component, detector_y, detector_x) array
        From ``reflection_images``.

    Returns
    -------
    (component, component) array
        1 = identical; 0 where one has no reflections.
    """
    flat = reflections.reshape(len(reflections), -1)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = flat / np.where(norm > 0, norm, 1.0)
    return np.clip(unit @ unit.T, 0, 1)


def backgrounds(counts: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Return what lies below the reflections of components.

    Parameters
    ----------
    counts : (component, detector_y, detector_x) array
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels.

    Returns
    -------
    (component, detector_y, detector_x) array
        What an opening leaves, and at least the median along the circle about the direct beam.
    """
    inside = np.where(left_out, 0.0, counts)
    smooth = ndimage.gaussian_filter(inside, (0, SMOOTHING_PX, SMOOTHING_PX))
    opened = background_of(inside, opening_size(counts.shape[1:]))
    return np.maximum(opened, _rings(smooth, left_out))


def _rings(smooth: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Return the median of every image along circles about the direct beam.

    The halo of an amorphous film is narrower than the opening's diameter at times, but it goes all
    the way round, which reflections do not.
    """
    regions, count = ndimage.label(left_out)
    centre = (np.array(left_out.shape) - 1) / 2
    if count:
        largest = 1 + np.argmax(np.bincount(regions.ravel())[1:])
        centre = np.array(ndimage.center_of_mass(regions == largest))
    y, x = np.indices(left_out.shape)
    radius = np.rint(np.hypot(y - centre[0], x - centre[1])).astype(int)
    radii = np.arange(radius.max() + 1)
    # What is left out is zero and would pull the median down.
    inside = np.where(left_out, -1, radius)
    rings = np.zeros_like(smooth)
    for image, ring in zip(smooth, rings, strict=True):
        ring[:] = np.nan_to_num(ndimage.median(image, inside, radii))[radius]
    return rings
