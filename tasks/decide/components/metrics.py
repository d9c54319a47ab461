"""Compare two images, or every pair of component patterns, by SSIM, GMSD, MDSI and PSNR.

The conventions (windows, borders, pooling of large images) are those of the package piq 0.8.0, so
that the numbers can be set beside published ones. What depends on one image only is worked out
once an image (`_Terms`), so that all pairs among k patterns cost little more than a product each.

All four are flattered by the empty background of a diffraction pattern: read them beside a
measure that looks at the reflections alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from orimap.tasks.errors import InputError
from orimap.tasks.store.variables import METRICS

# SSIM, Wang et al. 2004: window 11 x 11 with sigma 1.5 px, K1 = .01, K2 = .03 on a range of 1.
_SSIM_WINDOW_PX = 11
_SSIM_SIGMA_PX = 1.5
_SSIM_C1 = 0.01**2
_SSIM_C2 = 0.03**2
# GMSD, Xue et al. 2014: T = 170 on grey levels 0..255.
_GMSD_T = 170 / 255**2
# MDSI, Nafchi et al. 2016, on grey levels 0..255: gradient constants C1 and C2, chromaticity C3,
# and the share of the gradients in the sum.
_MDSI_C1, _MDSI_C2, _MDSI_C3 = 140.0, 55.0, 550.0
_MDSI_GRADIENT_SHARE = 0.6
# A grey image g copied to three channels has luminance .9999 g (the weights .2989, .587 and .114)
# and chromaticities H = -.01 g (.3, .04, -.35) and M = -.09 g (.34, -.6, .17).
_GREY_LUMINANCE = 0.2989 + 0.587 + 0.114
_GREY_CHROMA_SQUARED = (0.3 + 0.04 - 0.35) ** 2 + (0.34 - 0.6 + 0.17) ** 2
# PSNR never divides by zero: identical images reach 80 dB.
_PSNR_FLOOR = 1e-8


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity: 1 for identical images, around 0 for unrelated ones.

    Parameters
    ----------
    a, b : (H, W) array, values in [0, 1]
        After average pooling by ``max(1, round(min(H, W) / 256))`` (rows and columns that do not
        fill a block are dropped; halves round to even) at least 11 pixels a side.

    Returns
    -------
    float
        Mean of the SSIM map over all places where the 11 x 11 Gaussian window fits.

    Raises
    ------
    InputError
        If the shapes differ or are not 2-D, values leave [0, 1], or the window does not fit.

    References
    ----------
    Wang et al. (2004), IEEE Trans. Image Process. 13, 600, doi:10.1109/TIP.2003.819861
    """
    first, second = _image_pair(a, b)
    if min(_pool(first).shape) < _SSIM_WINDOW_PX:
        raise InputError(
            f"SSIM needs images of at least {_SSIM_WINDOW_PX} x {_SSIM_WINDOW_PX} pixels",
            f"images of {first.shape[0]} x {first.shape[1]}",
            "compare larger patterns, or use GMSD, MDSI or PSNR",
        )
    return _ssim(_terms(first), _terms(second))


def gmsd(a: np.ndarray, b: np.ndarray) -> float:
    """Gradient magnitude similarity deviation: 0 for identical images, larger = more different.

    Parameters
    ----------
    a, b : (H, W) array, values in [0, 1]
        Averaged over blocks of 2 x 2 first; an odd side is completed by zeros.

    Returns
    -------
    float
        Population standard deviation of the gradient similarity map, gradients by Prewitt / 3 with
        zeros beyond the border.

    References
    ----------
    Xue et al. (2014), IEEE Trans. Image Process. 23, 684, doi:10.1109/TIP.2013.2293423
    """
    first, second = _image_pair(a, b)
    return _gmsd(_terms(first), _terms(second))


def mdsi(a: np.ndarray, b: np.ndarray) -> float:
    """Mean deviation similarity index: 0 for identical images, larger = more different.

    Not symmetric: ``mdsi(a, b)`` and ``mdsi(b, a)`` differ a little, as they are defined.

    Parameters
    ----------
    a, b : (H, W) array, values in [0, 1]
        Grey images, treated as colour images with three equal channels. Averaged first over blocks
        of ``n = max(1, round(min(H, W) / 256))`` pixels, after ``(n - 1) // 2`` rows and columns of
        zeros before and ``n // 2`` after the image.

    Returns
    -------
    float
        ``mean(|z - mean z|) ** .25`` with ``z = GCS ** .25`` (complex where GCS is negative) and
        GCS = .6 gradient similarity + .4 chromaticity similarity.

    References
    ----------
    Nafchi et al. (2016), IEEE Access 4, 5579, doi:10.1109/ACCESS.2016.2604042
    """
    first, second = _image_pair(a, b)
    return _mdsi_both_orders(_terms(first), _terms(second))[0]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, ``-10 log10(mse + 1e-8)``: 80 for identical images.

    Parameters
    ----------
    a, b : (H, W) array, values in [0, 1]
    """
    first, second = _image_pair(a, b)
    return _psnr(first, second)


def pair_metrics(patterns: np.ndarray, *, mask: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Compare every pattern with every other, each scaled to unit maximum.

    Parameters
    ----------
    patterns : (k, H, W) array, any non-negative unit
        Negative values count as zero. A pattern without any intensity stays zero.
    mask : (H, W) bool array, optional
        True where a pixel is left out (hot, dead, beam stop): it is set to zero in every pattern
        before they are scaled.

    Returns
    -------
    dict of four (k, k) float64 arrays: ``ssim``, ``gmsd``, ``mdsi``, ``psnr``
        Row = first argument, column = second. MDSI is worked out in both orders; the diagonal holds
        what each metric gives for identical images (1, 0, 0 and 80 dB). SSIM is NaN where the
        patterns are too small for its window.

    References
    ----------
    The choice of metrics and the comparison at unit maximum: Cao et al. (2025), Digital Discovery,
    doi:10.1039/d5dd00071h
    """
    images = _unit_maximum(patterns, mask)
    k = len(images)
    table = {name: np.empty((k, k)) for name in METRICS}
    terms = [_terms(image) for image in images]
    for i in range(k):
        for j in range(i, k):
            first, second = terms[i], terms[j]
            table["ssim"][i, j] = table["ssim"][j, i] = _ssim(first, second)
            table["gmsd"][i, j] = table["gmsd"][j, i] = _gmsd(first, second)
            table["mdsi"][i, j], table["mdsi"][j, i] = _mdsi_both_orders(first, second)
            table["psnr"][i, j] = table["psnr"][j, i] = _psnr(images[i], images[j])
    return table


def fidelity(
    reference: np.ndarray, candidate: np.ndarray, *, mask: np.ndarray | None = None
) -> dict[str, float]:
    """Compare a pattern that stands for many with what it stands for, each at unit maximum.

    Parameters
    ----------
    reference : (H, W) array
        For instance the mean raw pattern of all positions of a cluster.
    candidate : (H, W) array
        The representative of that cluster. Both are scaled to unit maximum, so that a difference
        in dose does not count.
    mask : (H, W) bool array, optional
        True where a pixel is left out, as in `pair_metrics`.

    Returns
    -------
    dict of float: ``ssim``, ``gmsd``, ``mdsi``, ``psnr``
        ``reference`` is the first argument of MDSI. SSIM is NaN for images too small for it.
    """
    if np.shape(reference) != np.shape(candidate):
        raise InputError(
            "reference and candidate of one shape",
            f"{np.shape(reference)} and {np.shape(candidate)}",
            "compare patterns of the same detector, binned and cropped alike",
        )
    first, second = _unit_maximum(np.stack([reference, candidate]), mask)
    one, other = _terms(first), _terms(second)
    values = (_ssim(one, other), _gmsd(one, other), _mdsi_both_orders(one, other)[0])
    return dict(zip(METRICS, (*values, _psnr(first, second)), strict=True))


class _Terms(NamedTuple):
    """What the metrics need of one image, whatever it is compared with."""

    pooled: np.ndarray  # for SSIM
    local: tuple[np.ndarray, np.ndarray] | None  # mean and variance; None where no window fits
    half_gradient: np.ndarray  # magnitude, for GMSD
    grey: np.ndarray  # 0..255, pooled, for MDSI
    luminance_gradient: np.ndarray  # (2, H, W), along columns and rows, for MDSI
    luminance_magnitude: np.ndarray


def _terms(image: np.ndarray) -> _Terms:
    """Work out everything that depends on one image in [0, 1] alone."""
    pooled = _pool(image)
    local = None
    if min(pooled.shape) >= _SSIM_WINDOW_PX:
        mean = _window_mean(pooled)
        local = mean, _window_mean(pooled**2) - mean**2

    odd = [(0, side % 2) for side in image.shape]
    half = _block_mean(np.pad(image, odd), 2)

    block = _pooling_block(image.shape)
    # From blocks of three pixels on, the first block begins outside the image, among zeros.
    grey = 255 * _block_mean(np.pad(image, ((block - 1) // 2, block // 2)), block)
    gradient = _prewitt(_GREY_LUMINANCE * grey)
    return _Terms(
        pooled,
        local,
        np.hypot(*_prewitt(half)),
        grey,
        gradient,
        np.hypot(*gradient),
    )


def _ssim(a: _Terms, b: _Terms) -> float:
    """SSIM of two images, NaN where the window does not fit."""
    if a.local is None or b.local is None:
        return float("nan")
    (mean_a, variance_a), (mean_b, variance_b) = a.local, b.local
    product = mean_a * mean_b
    covariance = _window_mean(a.pooled * b.pooled) - product
    luminance = (2 * product + _SSIM_C1) / (mean_a**2 + mean_b**2 + _SSIM_C1)
    structure = (2 * covariance + _SSIM_C2) / (variance_a + variance_b + _SSIM_C2)
    return float(np.mean(luminance * structure))


def _gmsd(a: _Terms, b: _Terms) -> float:
    """GMSD of two images."""
    return float(np.std(_similarity(a.half_gradient, b.half_gradient, _GMSD_T)))


def _mdsi_both_orders(a: _Terms, b: _Terms) -> tuple[float, float]:
    """MDSI of (a, b) and of (b, a), which differ in the sign of one term."""
    # The gradient of the mean of two images is the mean of their gradients.
    shared = np.hypot(*(a.luminance_gradient + b.luminance_gradient)) / 2
    common = _similarity(a.luminance_magnitude, b.luminance_magnitude, _MDSI_C1)
    lopsided = _similarity(a.luminance_magnitude, shared, _MDSI_C2)
    lopsided -= _similarity(b.luminance_magnitude, shared, _MDSI_C2)
    grey = _similarity(a.grey, b.grey, _MDSI_C3 / _GREY_CHROMA_SQUARED)
    even = _MDSI_GRADIENT_SHARE * common + (1 - _MDSI_GRADIENT_SHARE) * grey
    lopsided *= _MDSI_GRADIENT_SHARE
    return _mean_deviation(even + lopsided), _mean_deviation(even - lopsided)


def _mean_deviation(similarity: np.ndarray) -> float:
    """Deviation of the fourth root of a similarity map, itself under a fourth root."""
    root = np.sqrt(np.sqrt(np.abs(similarity)))
    negative = similarity < 0
    if not negative.any():
        return float(np.mean(np.abs(root - root.mean())) ** 0.25)
    # The fourth root of a negative number -r is taken at an eighth of a turn: (1 + i) sqrt(r/2).
    turned = np.where(negative, root * np.exp(0.25j * np.pi), root)
    return float(np.mean(np.abs(turned - turned.mean())) ** 0.25)


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR of two images in dB."""
    difference = (a - b).ravel()
    return float(-10 * np.log10(difference @ difference / difference.size + _PSNR_FLOOR))


def _similarity(a: np.ndarray, b: np.ndarray, constant: float) -> np.ndarray:
    """1 where a equals b, towards 0 where they differ by more than the root of the constant."""
    return (2 * a * b + constant) / (a * a + b * b + constant)


def _prewitt(image: np.ndarray) -> np.ndarray:
    """Gradient (2, H, W) along columns and rows by Prewitt's mask / 3, zeros beyond the border."""
    padded = np.pad(image, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    columns = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return np.stack([rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2]]) / 3


def _window_mean(image: np.ndarray) -> np.ndarray:
    """Mean under the Gaussian window, only where it fits: 10 rows and columns fewer."""
    margin = _SSIM_WINDOW_PX // 2
    weights = np.exp(-0.5 * (np.arange(-margin, margin + 1) / _SSIM_SIGMA_PX) ** 2)
    weights /= weights.sum()
    rows = ndimage.correlate1d(image, weights, axis=0, mode="constant")[margin:-margin]
    return ndimage.correlate1d(rows, weights, axis=1, mode="constant")[:, margin:-margin]


def _pooling_block(shape: tuple[int, ...]) -> int:
    """Side in pixels of the blocks that large images are averaged over (halves round to even)."""
    return max(1, round(min(shape) / 256))


def _pool(image: np.ndarray) -> np.ndarray:
    """Average a large image over blocks, so that its shorter side comes to about 256 pixels."""
    return _block_mean(image, _pooling_block(image.shape))


def _block_mean(image: np.ndarray, block: int) -> np.ndarray:
    """Mean over block x block pixels; what does not fill a block at the end is dropped."""
    if block == 1:
        return image
    height, width = (side // block for side in image.shape)
    kept = image[: height * block, : width * block]
    return kept.reshape(height, block, width, block).mean(axis=(1, 3))


def _unit_maximum(patterns: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Clip (k, H, W) patterns at zero, blank the masked pixels, and scale each to maximum 1."""
    images = np.array(patterns, dtype=np.float64)
    if images.ndim != 3 or 0 in images.shape:
        raise InputError(
            "patterns of shape (k, H, W)",
            f"an array of shape {images.shape}",
            "stack the patterns along the first axis",
        )
    if mask is not None:
        if np.shape(mask) != images.shape[1:]:
            raise InputError(
                f"a mask of the shape of a pattern, {images.shape[1:]}",
                f"a mask of shape {np.shape(mask)}",
                "crop and bin the mask as the patterns were",
            )
        images[:, np.asarray(mask, dtype=bool)] = 0
    if not np.isfinite(images).all():
        raise InputError(
            "finite pattern values",
            f"{np.count_nonzero(~np.isfinite(images))} NaN or infinite values",
            "mask those pixels",
        )
    np.maximum(images, 0, out=images)
    peak = images.max(axis=(1, 2), keepdims=True)
    return np.divide(images, peak, out=images, where=peak > 0)


def _image_pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check two images and return them as float64."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        raise InputError(
            "two images of one shape (H, W)",
            f"shapes {first.shape} and {second.shape}",
            "crop or bin them alike",
        )
    low = np.minimum(first.min(), second.min())
    high = np.maximum(first.max(), second.max())
    if not (low >= 0 and high <= 1):  # NaN, which np.minimum passes on, fails both
        raise InputError(
            "image values between 0 and 1",
            f"values from {low:g} to {high:g}",
            "scale each image to unit maximum",
        )
    return first, second
