"""Measure the reflections of mean patterns: those that stand out, and what lies everywhere else.

A reflection that should be there and is not says as much about tilt as one that is. So beside the
list of reflections that the encoder finds, the height of a disc at every other pixel is kept, with
its error: what a crystal predicts is compared with one or the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.reflections.encode import (
    BEAM_PX,
    GREY_LEVELS,
    SMALLEST_DISC_PX,
    Encoder,
)
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.spots.find import Beam, Detector, Search, find_spots
from orimap.tasks.patterns.reflections.spots.shape import add_disc, disc_sums

# Around the direct beam, within so many radii of its disc, nothing is a reflection.
BEAM_DISC_RADII = 2.0
# Patterns are centred: their direct beam lies within so many pixels of where it is expected.
BEAM_OFF_PX = 1.5
# A place is seen where at least this share of a disc lies on valid pixels.
SEEN_SHARE = 0.7
# A found spot belongs to a prediction within so many radii of a disc, but at least so many pixels.
MATCH_DISC_RADII = 0.8
MATCH_PX = 1.5
# Reflections of one pattern that are looked at, the brightest.
MOST_SPOTS = 150
# Beside a bright disc, whose rim is not as sharp as the model's, something fainter than this share
# of it is no reflection, within so many radii.
SATELLITE_SHARE = 0.12
SATELLITE_DISC_RADII = 2.7
# The rim itself is known to this share of the bright disc's height.
RIM_SHARE = 0.04
# Fainter than this share of the brightest, or than so many errors, none is worth a comparison.
FAINTEST_SHARE = 0.002
LEAST_ERRORS = 4.0
# The background is known to this share of its level at best, however many electrons were counted.
BACKGROUND_SHARE = 0.02


@dataclass(frozen=True)
class Measured:
    """The reflections of n patterns, and what lies where none was found.

    Parameters
    ----------
    y, x : (n, spots) arrays, pixels
        Positions from the direct beam of each pattern, the brightest first; NaN beyond the last.
    height : (n, spots) array
        Height of the disc per pixel, in the unit of the patterns.
    error : (n, spots) array
        Its standard error, from counting.
    centre : (n, 2) array, pixels
        Row and column of the direct beam.
    rest, rest_error : (n, detector_y, detector_x) arrays
        Height of a disc centred on each pixel in what the found reflections leave, and its error.
    seen : (detector_y, detector_x) array of bool
        Where a reflection could be seen: not masked, not beyond the edge.
    beam_radius : float, pixels
        Nearer to the direct beam nothing is looked at.
    disc_radius : float, pixels
    """

    y: np.ndarray
    x: np.ndarray
    height: np.ndarray
    error: np.ndarray
    centre: np.ndarray
    rest: np.ndarray
    rest_error: np.ndarray
    seen: np.ndarray
    beam_radius: float
    disc_radius: float

    def __len__(self) -> int:
        """How many patterns there are."""
        return len(self.y)

    @property
    def counts(self) -> np.ndarray:
        """How many reflections each pattern has, (n,)."""
        return np.isfinite(self.y).sum(axis=1)

    @property
    def match_px(self) -> float:
        """How far a found reflection may lie from where it is predicted."""
        return max(MATCH_PX, MATCH_DISC_RADII * self.disc_radius)

    def flipped(self) -> Measured:
        """Return the patterns upside down, as of a detector whose rows count the other way."""
        height = self.seen.shape[0]
        centre = self.centre * [-1, 1] + [height - 1, 0]
        return replace(
            self,
            y=-self.y,
            centre=centre,
            rest=self.rest[:, ::-1],
            rest_error=self.rest_error[:, ::-1],
            seen=self.seen[::-1],
        )

    def take(self, patterns: np.ndarray) -> Measured:
        """Return some of the patterns."""
        most = max(1, int(self.counts[patterns].max(initial=0)))
        table = (self.y, self.x, self.height, self.error)
        y, x, height, error = (each[patterns][:, :most] for each in table)
        return replace(
            self,
            y=y,
            x=x,
            height=height,
            error=error,
            centre=self.centre[patterns],
            rest=self.rest[patterns],
            rest_error=self.rest_error[patterns],
        )


def measure_patterns(
    patterns: np.ndarray,
    positions: np.ndarray,
    valid: np.ndarray,
    centre: np.ndarray,
    *,
    disc_radius: float,
    beam_radius: float,
    counts: bool,
) -> Measured:
    """Measure the reflections of mean patterns.

    Parameters
    ----------
    patterns : (n, detector_y, detector_x) array
        Means over positions, centred.
    positions : (n,) array of int
        Over how many each was averaged: so many times more electrons speak for a reflection.
    valid : (detector_y, detector_x) array of bool
        False where a pixel is masked.
    centre : (2,) array, pixels
        Row and column where the direct beam is expected; its place is measured in every pattern.
    disc_radius, beam_radius : float, pixels
        Of the reflections and of the direct beam.
    counts : bool
        Whether values are electrons, so that their noise is known.

    Raises
    ------
    InputError
        If the patterns and the mask do not belong together.
    """
    from scipy.ndimage import maximum_filter

    patterns = np.asarray(patterns)
    if patterns.ndim != 3 or patterns.shape[1:] != valid.shape:
        raise InputError(
            f"patterns of the shape of the mask, {valid.shape}",
            f"an array of shape {patterns.shape}",
            "give the mean patterns of the detector that the mask was made for",
        )
    radius = max(disc_radius, SMALLEST_DISC_PX)
    encoder = Encoder(Lengths.of_disc(disc_radius, beam_radius), valid, counts)
    detector = Detector.of(valid, radius)
    reach = max(BEAM_DISC_RADII * beam_radius, BEAM_PX)
    whole = detector.shape.area
    found, rests, errors, centres = [], [], [], []
    for pattern, number in zip(patterns, positions, strict=True):
        # As counts: what the encoder calls noise is then that of so many electrons.
        unit = 1 / max(int(number), 1) if counts else _grey_unit(pattern, valid, centre, reach)
        image = np.where(valid & np.isfinite(pattern), np.maximum(pattern, 0) / unit, 0)
        image = np.ascontiguousarray(image, np.float32)
        noise = 0.0 if counts else max(_roughness(image, valid), 1.0)
        search = Search(counts, encoder.least_prominence, noise, MOST_SPOTS + 1)
        spots, background, _ = find_spots(
            image, detector, search, Beam(float(centre[0]), float(centre[1]), reach)
        )
        spots, beam = _without_beam(spots, centre, max(BEAM_OFF_PX, 0.75 * beam_radius))
        model = np.zeros(image.shape, np.float32)
        for y, x, height in spots:
            add_disc(model, y, x, height, detector.shape)
        if np.isfinite(beam[2]):
            add_disc(model, beam[0], beam[1], beam[2], detector.shape)
        away = np.hypot(*(spots[:, :2] - beam[:2]).T) > BEAM_DISC_RADII * beam_radius
        spots = _without_satellites(spots[away], radius)[:MOST_SPOTS]
        area = np.maximum(detector.areas, 1e-6)
        rest = disc_sums(np.where(valid, image - background - model, 0), detector.shape.kernel)
        expected = disc_sums(np.where(valid, background + model, 0).astype(np.float32),
                             detector.shape.kernel)  # fmt: skip
        spread = expected if counts else noise**2 * area
        rim = RIM_SHARE * maximum_filter(model, 2 * int(np.ceil(1.5 * radius)) + 1)
        error = np.sqrt(
            np.maximum(spread, 1) / area**2 + (BACKGROUND_SHARE * background) ** 2 + rim**2
        )
        at = tuple(np.rint(spots[:, :2]).astype(int).T)
        table = np.column_stack([spots[:, :2] - beam[:2], spots[:, 2] * unit, error[at] * unit])
        faintest = FAINTEST_SHARE * table[:, 2].max(initial=0)
        # Its own share of the rim is no doubt about a spot itself.
        alone = np.sqrt(np.maximum(error[at] ** 2 - rim[at] ** 2, 0)) * unit
        found.append(table[table[:, 2] > np.maximum(LEAST_ERRORS * alone, faintest)])
        rests.append(rest / area * unit)
        errors.append(error * unit)
        centres.append(beam[:2])
    most = max(1, max((len(each) for each in found), default=0))
    table = np.full((len(patterns), most, 4), np.nan)
    for row, each in zip(table, found, strict=True):
        row[: len(each)] = each
    return Measured(
        table[..., 0],
        table[..., 1],
        table[..., 2],
        table[..., 3],
        np.array(centres).reshape(-1, 2),
        np.array(rests, np.float32).reshape(-1, *valid.shape),
        np.array(errors, np.float32).reshape(-1, *valid.shape),
        (detector.areas >= SEEN_SHARE * whole) & valid,
        BEAM_DISC_RADII * beam_radius,
        float(disc_radius),
    )


def _without_beam(
    spots: np.ndarray, centre: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the spots, brightest first, without the direct beam; and that (y, x, height).

    It is the brightest within reach; the height is NaN where there is none. Patterns of a
    factorisation may have lost it.
    """
    spots = spots[np.argsort(-spots[:, 2], kind="stable")]
    near = np.hypot(*(spots[:, :2] - centre).T) <= reach
    if not near.any():
        return spots, np.array([*centre, np.nan])
    direct = int(near.argmax())
    return np.delete(spots, direct, axis=0), spots[direct]


def _without_satellites(spots: np.ndarray, radius: float) -> np.ndarray:
    """Leave out faint spots beside bright ones; they come brightest first."""
    apart = np.hypot(*(spots[:, None, :2] - spots[None, :, :2]).T)
    fainter = spots[:, 2, None] < SATELLITE_SHARE * spots[:, 2]
    return spots[~(fainter & (SATELLITE_DISC_RADII * radius > apart.T)).any(axis=1)]


def _grey_unit(pattern: np.ndarray, valid: np.ndarray, centre: np.ndarray, reach: float) -> float:
    """Return one grey level: a 255th of the brightest pixel beside the direct beam."""
    y, x = (np.arange(side) - at for side, at in zip(valid.shape, centre, strict=True))
    beside = valid & (np.hypot(y[:, None], x) > reach)
    return float(np.nanmax(pattern[beside], initial=0)) / GREY_LEVELS or 1.0


def _roughness(image: np.ndarray, valid: np.ndarray) -> float:
    """Return the noise of a pixel from differences of neighbours, by their median."""
    both = valid[:, 1:] & valid[:, :-1]
    return float(np.median(np.abs(np.diff(image, axis=1)[both])) / 0.6745 / np.sqrt(2))
