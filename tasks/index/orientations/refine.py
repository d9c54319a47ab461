"""Refine orientations: three angles by least squares, many candidates at a time.

What is compared is, for every reflection that a candidate predicts, its place and its brightness.
A predicted reflection is compared with the one that was found nearby, or else with what lies there
in the pattern: nothing, if it is not excited. One that could not be seen, behind the mask or beyond
the edge, is not compared. A found one that nothing predicts counts against the candidate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from orimap.tasks.index.crystals.reflections import Reflections
from orimap.tasks.index.measure import Measured
from orimap.tasks.index.orientations.compare import (
    OUTLIER,
    PLACE_PX,
    SPHERE_INV_ANGSTROM,
    Comparison,
    amplitude_error,
    cosine,
    factor,
    misfits,
    residuals,
)
from orimap.tasks.index.orientations.rocking import Rocking, excitation_error
from orimap.tasks.index.orientations.rows import Rows
from orimap.tasks.stream.in_threads import in_threads

# The centre is known so well beforehand.
CENTRE_PX = 0.3
# Reflections are chosen anew within so much of the sphere more than the curve reaches, so that they
# may come in, 1/Å.
MARGIN = 0.01
# Candidates that are refined at a time, in as many threads as there are cores: their arrays stay in
# the processor's cache.
PIECE = 100
# No step turns by more.
LARGEST_STEP = np.radians(0.7)


@dataclass(frozen=True)
class Camera:
    """What takes reciprocal vectors to the detector.

    Parameters
    ----------
    step : float, 1/Å
        Of a detector pixel.
    wavelength : float, Å
    """

    step: float
    wavelength: float


@dataclass(frozen=True)
class Candidates(Rows):
    """Orientations that come into question, each for one pattern.

    Parameters
    ----------
    pattern : (m,) int array
    rotation : (m, 3, 3) array
        From the crystal's frame into the sample's: x along detector columns, y along rows, and
        electrons travel against z.
    score : (m,) array
        Cosine of measured and predicted amplitudes: 1 where all is explained.
    shift : (m, 2) array, pixels
        Fitted departure of the direct beam (y, x) from where it was measured.
    """

    pattern: np.ndarray
    rotation: np.ndarray
    score: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, pattern: np.ndarray, rotation: np.ndarray) -> Candidates:
        """Return candidates of which no more is known."""
        count = len(pattern)
        return cls(np.asarray(pattern), rotation, np.full(count, np.nan), np.zeros((count, 2)))


class Refinement:
    """Refine candidates of one crystal on the measured reflections.

    Parameters
    ----------
    measured : Measured
    reflections : Reflections
    camera : Camera
    nearest : array, optional
        Of another refinement on the same patterns.
    """

    def __init__(
        self,
        measured: Measured,
        reflections: Reflections,
        camera: Camera,
        nearest: np.ndarray | None = None,
    ) -> None:
        self.measured, self.reflections, self.camera = measured, reflections, camera
        self.share = reflections.strength / reflections.strength.max(initial=1e-30)
        self.lines = reflections.g.T.astype(np.float32)
        squared = (reflections.g**2).sum(axis=1)
        self.level = (camera.wavelength / 2 * squared).astype(np.float32)
        self.nearest = _nearest_spots(measured) if nearest is None else nearest
        self.height = np.nan_to_num(measured.height)
        self.error = np.nan_to_num(measured.error, nan=1.0)
        self.amplitude = np.sqrt(self.height)

    def seen_by(self, camera: Camera) -> Refinement:
        """Return the same with another camera length."""
        return Refinement(self.measured, self.reflections, camera, self.nearest)

    def choose(self, candidates: Candidates, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Return which reflections lie near the sphere, (m, n) numbers and whether there is one."""
        # To first order and in single precision, which is enough to choose by.
        towards = candidates.rotation[:, 2].astype(np.float32) @ self.lines
        towards -= self.level
        near = np.abs(towards, out=towards) < reach + MARGIN
        rows, columns = np.nonzero(near)
        counts = near.sum(axis=1)
        most = max(1, int(counts.max(initial=0)))
        slot = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = np.zeros((len(near), most), int)
        there = np.zeros((len(near), most), bool)
        chosen[rows, slot], there[rows, slot] = columns, True
        return chosen, there

    def compare(
        self,
        candidates: Candidates,
        rocking: Rocking,
        chosen: np.ndarray,
        there: np.ndarray,
    ) -> Comparison:
        """Compare what is predicted with what was measured."""
        measured, camera = self.measured, self.camera
        pattern = candidates.pattern[:, None]
        g = self.reflections.g[chosen] @ np.swapaxes(candidates.rotation, 1, 2)
        s = excitation_error(g, camera.wavelength)
        across = np.hypot(g[..., 0], g[..., 1])
        amplitude, by_s = rocking.amplitude(self.share[chosen], s, across)
        # A turn d moves g by d x g; the sphere rises by the way across times its slope.
        slope = camera.wavelength
        by_turn = np.stack(
            [g[..., 1] * (1 + slope * g[..., 2]), -g[..., 0] * (1 + slope * g[..., 2]), 0 * s], -1
        )
        by_turn *= by_s[..., None]
        doubt = np.minimum(SPHERE_INV_ANGSTROM * np.abs(by_s), amplitude)

        place = g / camera.step
        y, x = place[..., 1] + candidates.shift[:, :1], place[..., 0] + candidates.shift[:, 1:]
        height, width = measured.seen.shape
        row = np.rint(y + measured.centre[pattern, 0]).astype(int)
        column = np.rint(x + measured.centre[pattern, 1]).astype(int)
        inside = there & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        inside &= np.hypot(y, x) > measured.beam_radius
        row, column = np.where(inside, row, 0), np.where(inside, column, 0)
        spot = np.where(inside, self.nearest[pattern, row, column], -1)
        at = np.maximum(spot, 0)
        away = np.stack([measured.y[pattern, at] - y, measured.x[pattern, at] - x], -1)
        matched = (spot >= 0) & (np.hypot(away[..., 0], away[..., 1]) < measured.match_px)
        spot = np.where(matched, spot, -1)
        away = np.where(matched[..., None], away, 0)

        # Predictions that fall on one spot add up.
        spots = measured.y.shape[1]
        cell = (np.arange(len(s))[:, None] * spots + at)[matched]
        size = len(s) * spots
        square = np.bincount(cell, amplitude[matched] ** 2, size).reshape(-1, spots)
        total = np.sqrt(square)
        along = [
            np.bincount(cell, (amplitude * by_turn[..., axis])[matched], size).reshape(-1, spots)
            for axis in range(3)
        ]
        doubts = np.bincount(cell, (amplitude * doubt)[matched] ** 2, size).reshape(-1, spots)
        spot_slope = np.stack(along, -1) / np.maximum(total, 1e-12)[..., None]
        weight = np.zeros(s.shape)
        weight[matched] = amplitude[matched] ** 2 / np.maximum(square.ravel()[cell], 1e-24)
        off = np.bincount(cell, (weight * (away**2).sum(axis=-1))[matched], size)

        other = inside & ~matched & measured.seen[row, column]
        rest = np.where(other, measured.rest[pattern, row, column], 0)
        error = np.where(other, measured.rest_error[pattern, row, column], 1)
        known = np.isfinite(measured.y)[candidates.pattern]
        return Comparison(
            self.amplitude[candidates.pattern],
            np.where(known, amplitude_error(self.height, self.error)[candidates.pattern], np.inf),
            total,
            spot_slope,
            np.sqrt(doubts) / np.maximum(total, 1e-12),
            np.sqrt(np.maximum(rest, 0) * (rest > 2 * error)),
            np.where(other, amplitude_error(rest, error), np.inf),
            amplitude,
            by_turn,
            doubt,
            spot,
            away,
            place,
            weight,
            np.sqrt(off).reshape(-1, spots),
            rocking.misfit,
        )

    def run(
        self, candidates: Candidates, rocking: Rocking, rounds: int, widen: float = 1.0
    ) -> Candidates:
        """Refine candidates and score them.

        Parameters
        ----------
        candidates : Candidates
        rocking : Rocking
        rounds : int
        widen : float
            Factor on the rocking width in the first round, that falls to 1 in the last but one:
            orientations from a coarse grid miss reflections that are narrow.
        """
        if not len(candidates.pattern):
            return candidates
        starts = range(0, len(candidates.pattern), PIECE)
        pieces = [candidates.take(slice(start, start + PIECE)) for start in starts]
        refined = in_threads(lambda piece: self._run(piece, rocking, rounds, widen), pieces)
        return Candidates.join(refined)

    def _run(
        self, candidates: Candidates, rocking: Rocking, rounds: int, widen: float
    ) -> Candidates:
        """Refine and score some candidates."""
        best, lowest = candidates, np.full(len(candidates.pattern), np.inf)
        for number in range(rounds + 1):
            part = max(0.0, 1 - number / max(1, rounds - 2)) if widen > 1 else 0.0
            curve = replace(rocking, width=rocking.width * widen**part)
            if number % 3 == 0 or part:
                chosen, there = self.choose(candidates, curve.reach)
            compared = self.compare(candidates, curve, chosen, there)
            if not part:
                # A step may overshoot: the best one is kept, not the last.
                cost = sum(each.sum(axis=1) for each in misfits(compared))
                better = cost < lowest
                lowest = np.where(better, cost, lowest)
                best = best.replaced(candidates, better)
            if number < rounds:
                candidates = _step(candidates, compared)
        chosen, there = self.choose(best, rocking.reach)
        compared = self.compare(best, rocking, chosen, there)
        return replace(best, score=cosine(compared))


def _nearest_spots(measured: Measured) -> np.ndarray:
    """Return the nearest spot of every pixel that may be matched, -1 where none, (n, y, x)."""
    from scipy.spatial import cKDTree

    height, width = measured.seen.shape
    pixels = np.indices((height, width)).reshape(2, -1).T
    nearest = np.full((len(measured), height * width), -1, np.int16)
    for number in range(len(measured)):
        count = measured.counts[number]
        if count:
            places = np.stack([measured.y[number], measured.x[number]], 1)[:count]
            tree = cKDTree(places + measured.centre[number])
            distance, which = tree.query(pixels, distance_upper_bound=measured.match_px + 1)
            nearest[number] = np.where(np.isfinite(distance), which, -1)
    return nearest.reshape(-1, height, width)


def _step(candidates: Candidates, compared: Comparison) -> Candidates:
    """Turn candidates by one step of Gauss and Newton, with outliers weighed down."""
    scale = factor(compared)
    spot, spot_certainty, other, other_certainty = residuals(compared, scale)
    count = len(scale)
    # Turn (3), logarithm of the factor, shift (2).
    normal, right = np.zeros((count, 6, 6)), np.zeros((count, 6))
    for residual, certain, predicted, slope in (
        (spot, spot_certainty, compared.spot_predicted, compared.spot_slope),
        (other, other_certainty, compared.other_predicted, compared.other_slope),
    ):
        by = np.concatenate([slope, predicted[..., None]], -1)
        by = by * (scale[:, None] * certain)[..., None]
        robust = 1 / (1 + (residual / OUTLIER) ** 2)
        weighed = np.swapaxes(by * robust[..., None], 1, 2)
        normal[:, :4, :4] += weighed @ by
        right[:, :4] += (weighed @ residual[..., None])[..., 0]
    _add_places(normal, right, compared)
    normal[:, [4, 5], [4, 5]] += 1 / CENTRE_PX**2
    right[:, 4:] -= candidates.shift / CENTRE_PX**2
    diagonal = np.arange(6)
    normal[:, diagonal, diagonal] *= 1.02
    # A turn that nothing speaks against stays small.
    normal[:, diagonal, diagonal] += np.array([1, 1, 1, 1e-3, 1e-3, 1e-3])
    step = np.linalg.solve(normal, right[..., None])[..., 0]
    length = np.linalg.norm(step[:, :3], axis=1)
    turn = step[:, :3] * np.minimum(1, LARGEST_STEP / np.maximum(length, 1e-12))[:, None]
    return replace(
        candidates,
        rotation=_turned(candidates.rotation, turn),
        shift=candidates.shift + np.clip(step[:, 4:], -1, 1),
    )


# How far a step moves a reflection at (x, y, z) along y and along x, from these and 1: a turn
# (a, b, c) by c x - a z and b z - c y, a shift by as much as it is.
_BY_STEP = np.zeros((2, 6, 4))
_BY_STEP[0, 0, 2], _BY_STEP[0, 2, 0], _BY_STEP[0, 4, 3] = -1, 1, 1
_BY_STEP[1, 1, 2], _BY_STEP[1, 2, 1], _BY_STEP[1, 5, 3] = 1, -1, 1


def _add_places(normal: np.ndarray, right: np.ndarray, compared: Comparison) -> None:
    """Add to the equations of a step what the places of reflections say."""
    away = compared.away / PLACE_PX
    robust = compared.weight / (1 + (away**2).sum(axis=-1) / OUTLIER**2)
    known = np.concatenate([compared.place, np.ones((*robust.shape, 1))], axis=-1) / PLACE_PX
    weighed = np.swapaxes(known * robust[..., None], 1, 2)
    square, towards = weighed @ known, weighed @ away
    for axis, by in enumerate(_BY_STEP):
        normal += by @ square @ by.T
        right += towards[..., axis] @ by.T


def _turned(rotation: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Turn rotations further, by rotation vectors in the sample's frame."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(turn).as_matrix() @ rotation
