"""Encode patterns as lists of reflections: where each lies and how bright it is.

This is ePattern's encoder, rebuilt for counts. A pattern is summed over the disc of a reflection
about every pixel; where the sum stands out from the background by enough, and by enough over the
pass to any higher place, a reflection is registered. Its position and height are refined by
likelihood and its disc is taken away, and what still stands out is looked at again: so a weak disc
that touches a strong one is found, and a broad bright one is not found twice.

References
----------
Folastre et al. (2024), Sci. Rep. 14, doi:10.1038/s41598-024-63060-5: adaptive prominence, maxima,
refinement in a window, intensity and pseudo-prominence. Ours: disc sums in place of a Gaussian, a
background of rings, likelihood, the repeated passes.
"""

from dataclasses import dataclass

import numba
import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.corners import outside_inscribed_circle
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.reflections.spots.find import Beam, Detector, Search, find_spots
from orimap.tasks.stream.sizes import MOST_REFLECTIONS

# How many reflections a pattern of noise alone may show: then nineteen in twenty are real where
# there are twenty.
FALSE_ALARMS = 1.0
# Noise alone shows so many maxima above z standard deviations a pixel, times exp(-z² / 2) and
# a power of the radius: measured on flat backgrounds of .1 to 10 electrons a pixel, discs of 1.5 to
# 6 px, patterns of 128 and 256 px.
MAXIMA_PER_PIXEL = 0.035
MAXIMA_POWER = -0.4
# Tiny patterns have room for a single disc; that much it has to stand out all the same.
LEAST_FLOOR = 2.5
# Prominence that a maximum needs in grey levels of 256: the paper's, useful 3 to 10.
GREY_FLOOR = 3.0
GREY_LEVELS = 255.0
# A direct beam that is said to be somewhere is looked for within so many radii of there, or pixels.
BEAM_DISC_RADII = 3.0
BEAM_PX = 4.0
# One that is not, lies within this share of the pattern's width of its centre.
CENTRAL_SHARE = 0.125
# A disc as large as one pixel.
SMALLEST_DISC_PX = float(np.sqrt(1 / np.pi))


@dataclass(frozen=True)
class Encoder:
    """What the encoder is told about the patterns.

    Parameters
    ----------
    lengths : Lengths
        Everything scales with its ``disc_radius``.
    valid : (detector_y, detector_x) array of bool
        False where a pixel is masked: it is no evidence, and no reflection is centred on it.
    counts : bool
        Poisson counts; otherwise grey levels, 8-bit or of any scale.
    floor : float, optional
        Prominence that a maximum needs at least. For counts in units of the noise; the default
        follows from how much room the detector has for maxima of the noise, so that these are
        `FALSE_ALARMS` a pattern. Otherwise in grey levels (default `GREY_FLOOR`), of which 8-bit
        values are one each and others have 255 up to their brightest pixel beside the direct beam.
    most : int
        Keep so many of the brightest reflections of a pattern.

    Raises
    ------
    InputError
        If the disc has no size or the mask other than two axes.
    """

    lengths: Lengths
    valid: np.ndarray
    counts: bool
    floor: float | None = None
    most: int = MOST_REFLECTIONS

    def __post_init__(self) -> None:
        if not (np.isfinite(self.lengths.disc_radius) and self.lengths.disc_radius > 0):
            raise InputError(
                "a disc radius above 0 px",
                f"{self.lengths.disc_radius}",
                "give the radius of the reflections' discs in detector pixels",
            )
        if self.valid.ndim != 2:
            raise InputError(
                "a mask of two axes, detector_y and detector_x",
                f"one of shape {self.valid.shape}",
                "give one value for each pixel of the detector",
            )

    @property
    def least_prominence(self) -> float:
        """The floor, or its default."""
        if self.floor is not None:
            return self.floor
        if not self.counts:
            return GREY_FLOOR
        radius = max(self.lengths.disc_radius, SMALLEST_DISC_PX)
        maxima = MAXIMA_PER_PIXEL * np.count_nonzero(self.valid) * radius**MAXIMA_POWER
        odds = max(maxima / FALSE_ALARMS, 1.0)
        return max(float(np.sqrt(2 * np.log(odds))), LEAST_FLOOR)


def encode_patterns(patterns: np.ndarray, encoder: Encoder, beam: np.ndarray) -> Reflections:
    """Register the reflections of patterns.

    Parameters
    ----------
    patterns : (n, detector_y, detector_x) array
        Of any type. What is negative or not finite counts as 0.
    encoder : Encoder
    beam : (n, 2) array, pixels
        Where the direct beam is expected; NaN where unknown, then it is looked for near the centre.

    Returns
    -------
    Reflections
        ``intensity`` is the height of the flat disc per pixel, in the units of the pattern. For
        counts the most likely one, from all electrons of the disc: the paper's core, a seventh of
        its area, would have 2.7 times the noise. For grey levels the mean over the paper's core,
        which does not suffer where real discs are softer than flat ones.

    Raises
    ------
    InputError
        If the patterns, the mask and ``beam`` do not belong together.
    """
    patterns = np.asarray(patterns)
    beam = np.asarray(beam, dtype=np.float64)
    _check_shapes(patterns, encoder, beam)
    detector = Detector.of(encoder.valid, max(encoder.lengths.disc_radius, SMALLEST_DISC_PX))
    corners = np.flatnonzero(detector.valid & outside_inscribed_circle(detector.valid.shape))
    parts = [
        _encode_pattern(pattern, encoder, position, detector, corners)
        for pattern, position in zip(patterns, beam, strict=True)
    ]
    entries = np.concatenate([np.zeros((0, 4)), *(part[0] for part in parts)])
    sizes = [len(part[0]) for part in parts]
    y, x, intensity, prominence = entries.astype(np.float32).T.copy()
    return Reflections(
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        y=y,
        x=x,
        intensity=intensity,
        prominence=prominence,
        direct=np.array([part[1] for part in parts], np.int32),
        noise=np.array([part[2] for part in parts], np.float32),
        threshold=np.array([part[3] for part in parts], np.float32),
    )


def _check_shapes(patterns: np.ndarray, encoder: Encoder, beam: np.ndarray) -> None:
    """Raise InputError where patterns, mask and beam do not belong together."""
    rows, columns = encoder.valid.shape
    if patterns.ndim != 3 or patterns.shape[1:] != encoder.valid.shape:
        raise InputError(
            f"patterns of {rows} x {columns} pixels, like the mask, as an array (pattern, "
            "detector_y, detector_x)",
            f"an array of shape {patterns.shape}",
            "encode the patterns of the detector that the mask was made for",
        )
    if beam.shape != (len(patterns), 2):
        raise InputError(
            f"one position (y, x) of the direct beam for each of {len(patterns)} patterns",
            f"an array of shape {beam.shape}",
            "give NaN where it is unknown",
        )


def _encode_pattern(
    pattern: np.ndarray,
    encoder: Encoder,
    beam: np.ndarray,
    detector: Detector,
    corners: np.ndarray,
) -> tuple[np.ndarray, int, float, float]:
    """Entries (y, x, intensity, prominence), direct beam, noise and threshold of one pattern."""
    lengths, valid = encoder.lengths, detector.valid
    image = pattern.astype(np.float32, order="C")
    _clear(image, valid)
    noise = float(image.ravel()[corners].std()) if len(corners) else 0.0
    least, level = encoder.least_prominence, 1.0
    if not encoder.counts:
        level = _grey_level(image, pattern.dtype, lengths.disc_radius)
        image /= np.float32(level)
        least = max(least, noise / level)
    known = bool(np.isfinite(beam).all())
    middle = (np.array(valid.shape) - 1) / 2
    near = beam if known else middle
    reach = max(BEAM_DISC_RADII * lengths.disc_radius, BEAM_PX)
    if not known:
        reach = max(reach, CENTRAL_SHARE * max(valid.shape))
    search = Search(encoder.counts, least, max(noise / level, 1.0), encoder.most)
    spots, background, sums = find_spots(image, detector, search, Beam(near[0], near[1], reach))
    if not encoder.counts:
        spots[:, 2] = _core_means(image, background, valid, spots, lengths.intensity_diameter / 2)
    spots = spots[np.argsort(-spots[:, 2], kind="stable")][: encoder.most]
    spots = spots[spots[:, 2] > 0]
    direct = -1
    if not _is_masked(valid, near):
        spots, direct = _single_out_direct_beam(spots, near, reach, lengths.direct_disc_radius)
    radii = np.full(len(spots), lengths.prominence_diameter / 2)
    if direct >= 0:
        radii[direct] = lengths.direct_prominence_diameter / 2
    prominence = _pseudo_prominences(sums, background, detector, spots, radii)
    entries = np.column_stack([spots[:, :2], spots[:, 2] * level, prominence * level])
    return entries, direct, noise, least * level if not encoder.counts else least


def _grey_level(image: np.ndarray, dtype: np.dtype, disc_radius: float) -> float:
    """One grey level in the units of the pattern: 1 for 8 bits, else a 255th of the brightest.

    The brightest beside the direct beam: 8-bit images are stretched until that saturates.
    """
    if dtype.itemsize == 1:
        return 1.0
    peak = np.unravel_index(image.argmax(), image.shape)
    y, x = (np.abs(np.arange(side) - at) for side, at in zip(image.shape, peak, strict=True))
    beside = np.hypot(y[:, None], x) > BEAM_DISC_RADII * disc_radius
    brightest = float(image[beside].max(initial=0)) or float(image[peak])
    return brightest / GREY_LEVELS or 1.0


def _is_masked(valid: np.ndarray, position: np.ndarray) -> bool:
    """Whether a position lies on a masked pixel, as that of a beam behind a stop does."""
    y, x = np.rint(position).astype(int)
    inside = 0 <= y < valid.shape[0] and 0 <= x < valid.shape[1]
    return bool(inside and not valid[y, x])


def _single_out_direct_beam(
    spots: np.ndarray, near: np.ndarray, reach: float, beam_radius: float
) -> tuple[np.ndarray, int]:
    """Find the direct beam, and leave out what was found on it beside itself.

    It is the nearest to where it is expected, or a brighter one on whose disc that lies.
    """
    distance = np.hypot(*(spots[:, :2] - near).T)
    if not len(spots) or distance.min() > reach:
        return spots, -1
    nearest = spots[distance.argmin(), :2]
    # Spots come brightest first.
    direct = int(np.argmax(np.hypot(*(spots[:, :2] - nearest).T) < beam_radius))
    beside = np.hypot(*(spots[:, :2] - spots[direct, :2]).T) >= beam_radius
    beside[direct] = True
    return spots[beside], int(beside[:direct].sum())


@numba.njit(cache=True, nogil=True)
def _clear(image: np.ndarray, valid: np.ndarray) -> None:
    """Set to 0, in place, what is masked, negative or not finite."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if not (valid[y, x] and 0 < image[y, x] < np.inf):
                image[y, x] = 0


@numba.njit(cache=True, nogil=True)
def _core_means(
    image: np.ndarray, background: np.ndarray, valid: np.ndarray, spots: np.ndarray, radius: float
) -> np.ndarray:
    """Mean above the background over the pixels within a radius, the nearest one at least."""
    means = np.zeros(len(spots))
    for entry in range(len(spots)):
        y, x = spots[entry, 0], spots[entry, 1]
        row, column = int(y + 0.5), int(x + 0.5)
        total = image[row, column] - background[row, column]
        size = 1
        for i in range(max(0, int(y - radius)), min(image.shape[0], int(y + radius) + 2)):
            for j in range(max(0, int(x - radius)), min(image.shape[1], int(x + radius) + 2)):
                inside = (i - y) ** 2 + (j - x) ** 2 <= radius * radius
                if inside and valid[i, j] and not (i == row and j == column):
                    total += image[i, j] - background[i, j]
                    size += 1
        means[entry] = total / size
    return means


@numba.njit(cache=True, nogil=True)
def _pseudo_prominences(
    sums: np.ndarray,
    background: np.ndarray,
    detector: Detector,
    spots: np.ndarray,
    radii: np.ndarray,
) -> np.ndarray:
    """Peak less the lowest value within a radius, of disc means above the background."""
    areas, valid = detector.areas, detector.valid
    prominence = np.zeros(len(spots))
    for entry in range(len(spots)):
        y, x, radius = spots[entry, 0], spots[entry, 1], radii[entry]
        row, column = int(y + 0.5), int(x + 0.5)
        peak = sums[row, column] / areas[row, column] - background[row, column]
        lowest = peak
        for i in range(max(0, int(y - radius)), min(sums.shape[0], int(y + radius) + 2)):
            for j in range(max(0, int(x - radius)), min(sums.shape[1], int(x + radius) + 2)):
                inside = (i - y) ** 2 + (j - x) ** 2 <= radius * radius
                if inside and valid[i, j]:
                    lowest = min(lowest, sums[i, j] / areas[i, j] - background[i, j])
        prominence[entry] = peak - lowest
    return prominence
