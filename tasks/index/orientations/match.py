"""Find candidates: correlate patterns with the templates of all zone directions, at all azimuths.

References
----------
Ophus et al. (2022), Microsc. Microanal. 28, 390, doi:10.1017/S1431927622000101, correlate so, with
Fourier transforms along the azimuth; Rauch & Dupuy (2005), Arch. Metall. Mater. 50, 87, introduced
matching of templates. The mirrored second half of the directions is ours.
"""

from __future__ import annotations

import numpy as np

from orimap.tasks.index.crystals.symmetry import misorientation_deg
from orimap.tasks.index.measure import Measured
from orimap.tasks.index.orientations.refine import Candidates
from orimap.tasks.index.orientations.templates import (
    HARMONICS,
    SPREAD,
    Templates,
    harmonics_of,
    ring_count,
)
from orimap.tasks.stream.in_threads import in_threads

# Angles about the beam at which a template is compared: every two degrees.
TURNS = 180
# Directions that are correlated at a time.
BLOCK_DIRECTIONS = 128
# Candidates nearer than this are one.
SAME_DEG = 3.5
# Of the best directions, so many are looked at for each candidate that is kept.
LOOKED_AT = 5


def pattern_harmonics(measured: Measured, step: float, q_max: float) -> np.ndarray:
    """Return the harmonics of measured patterns, (n, rings, harmonics), at unit norm.

    Parameters
    ----------
    measured : Measured
    step : float, 1/Å
        Of a detector pixel.
    q_max : float, 1/Å
    """
    there = np.isfinite(measured.y)
    item = np.nonzero(there)[0]
    y, x = measured.y[there] * step, measured.x[there] * step
    amplitude = np.sqrt(measured.height[there])
    spectrum = harmonics_of(
        item, np.hypot(y, x), np.arctan2(y, x), amplitude, len(measured), ring_count(q_max)
    )
    norm = np.sqrt(np.bincount(item, amplitude**2, len(measured)))
    return spectrum / np.maximum(norm, 1e-12)[:, None, None].astype(np.float32)


def correlate(patterns: np.ndarray, templates: Templates) -> np.ndarray:
    """Return how well patterns agree with templates at each angle about the beam.

    Parameters
    ----------
    patterns : (n, rings, harmonics) complex array
    templates : Templates

    Returns
    -------
    (n, 2, z, TURNS) float32 array
        About 1 at most. Second: of the mirror images of the templates, which are those of the
        opposite directions.
    """
    from scipy import fft

    harmonic = np.arange(HARMONICS + 1)
    soft = np.exp(-((harmonic * SPREAD) ** 2)).astype(np.float32)
    # One for both, of two smeared points on one another.
    soft /= soft[0] + 2 * soft[1:].sum()
    first = np.ascontiguousarray(np.moveaxis(patterns * soft, 2, 0))
    second = np.ascontiguousarray(np.moveaxis(templates.harmonics, 2, 0).swapaxes(1, 2))
    sign = ((-1.0) ** harmonic[:, None, None]).astype(np.float32)
    plain = first @ second.conj()
    mirrored = (first @ second) * sign
    both = np.stack([plain, mirrored], axis=0)
    both = np.moveaxis(both, (0, 1, 2, 3), (1, 3, 0, 2))
    return fft.irfft(both, TURNS, axis=-1, overwrite_x=True) * np.float32(TURNS)


def find_candidates(
    patterns: np.ndarray, templates: Templates, turns: np.ndarray, most: np.ndarray
) -> Candidates:
    """Return the best candidates of every pattern, and what they are turned by half about the beam.

    Parameters
    ----------
    patterns : (n, rings, harmonics) complex array
    templates : Templates
    turns : (t, 3, 3) array
        `laue_turns` of the crystal.
    most : (n,) int array
        Candidates for each pattern, before they are turned by half.
    """
    count = len(patterns)
    most_looked = LOOKED_AT * int(most.max())

    def best_of(block: Templates) -> tuple[np.ndarray, np.ndarray]:
        """Return the agreement of the best directions of a block, and their rotations."""
        agreement = correlate(patterns, block).reshape(count, -1, TURNS)
        own = np.concatenate([block.rotation, block.rotation * np.array([1, -1, -1])[:, None]])
        looked = min(most_looked, agreement.shape[1])
        value = agreement.max(axis=-1)
        order = np.argpartition(-value, looked - 1, axis=1)[:, :looked]
        angle = np.take_along_axis(agreement.argmax(axis=-1), order, 1) * (2 * np.pi / TURNS)
        return np.take_along_axis(value, order, 1), about_beam(angle) @ own[order]

    every = in_threads(best_of, templates.blocks(BLOCK_DIRECTIONS))
    best, rotation = (np.concatenate(each, axis=1) for each in zip(*every, strict=True))
    pattern, found, scores = [], [], []
    half = np.diag([-1.0, -1, 1])
    for number in range(count):
        order = np.argsort(-best[number], kind="stable")[: LOOKED_AT * most[number]]
        kept = distinct(rotation[number, order], turns, SAME_DEG, most[number])
        for each in order[kept]:
            pattern += [number, number]
            found += [rotation[number, each], half @ rotation[number, each]]
            scores += [best[number, each]] * 2
    return Candidates(
        np.array(pattern, int),
        np.array(found).reshape(-1, 3, 3),
        np.array(scores),
        np.zeros((len(pattern), 2)),
    )


def about_beam(angle: np.ndarray) -> np.ndarray:
    """Return rotations by angles (radians) about z, (..., 3, 3)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.zeros((*np.shape(angle), 3, 3))
    rotation[..., 0, 0] = rotation[..., 1, 1] = cosine
    rotation[..., 0, 1], rotation[..., 1, 0] = -sine, sine
    rotation[..., 2, 2] = 1
    return rotation


def distinct(rotation: np.ndarray, turns: np.ndarray, apart_deg: float, most: int) -> np.ndarray:
    """Return which rotations (best first) differ from all better ones, at most so many."""
    apart = misorientation_deg(rotation[:, None], rotation[None], turns)
    kept: list[int] = []
    for number in range(len(rotation)):
        if len(kept) == most:
            break
        if (apart[number, kept] > apart_deg).all():
            kept.append(number)
    return np.array(kept, int)
