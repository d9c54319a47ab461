"""Factorise dark fields: which reflections are bright together, and where."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from orimap.tasks.decide.components.shares import full_weights
from orimap.tasks.decide.grains.dark_fields import DarkFields
from orimap.tasks.factorise.kernels.least_squares import solve_weights
from orimap.tasks.factorise.nmf import LowRank, factorise

# Of a larger scan the components are fitted to this number of positions, spread evenly.
MOST_POSITIONS = 16384
# Directions below this share of the largest are rounding.
ROUNDING = 1e-9
# A reflection's brightness changes by this part of itself where the crystal tilts by a little.
CHANGES = 0.3
# A disc that is darker than this part of the mean one is taken to be as bright.
DARKEST = 0.01
# The groups no longer change.
MAX_ITERATIONS = 150
# Rounds of weighing the reflections of each position by what they vary there, and of settling the
# components' shares of it.
ROUNDS = 2
SWEEPS = 3
# Values that are worked on together: bounds the memory.
VALUES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class GrainFit:
    """Components of the dark fields of a scan.

    Parameters
    ----------
    weights : (positions, k) array
        Intensity of each component's reflections at each position, without background.
    reflections : (k, place) array
        The share of that at each place: unit sum.
    """

    weights: np.ndarray
    reflections: np.ndarray

    @cached_property
    def share(self) -> np.ndarray:
        """Share of each position that components fill, (positions, k): 1 = all of it."""
        if not self.weights.shape[1]:
            return self.weights
        return self.weights / np.minimum(full_weights(self.weights), 1e300)


def fit_grains(fields: DarkFields, k: int) -> GrainFit:
    """Fit k components to the dark fields of a scan.

    Parameters
    ----------
    fields : DarkFields
    k : int
        Fewer are fitted where the dark fields have fewer directions.

    Notes
    -----
    A reflection is uncertain by its noise and by what a small tilt makes of it; positions count
    alike, however brightly they diffract. So grains come before what changes within bright ones.
    Dark fields may be negative by noise, which least squares takes as it is; components and weights
    are not.
    """
    scan, net = fields.scan, fields.net
    column = 1 / np.sqrt(disc_variance(fields))
    weighted = net * column
    noise = fields.dispersion * (scan @ (fields.whole @ column**2))
    squares = ((scan @ (weighted @ weighted.T)) * scan).sum(axis=1)
    row = 1 / np.sqrt(np.maximum(noise + squares, 1e-300))
    chosen = _spread_evenly(len(scan))
    left, upper = np.linalg.qr(scan[chosen] * row[chosen, None])
    right, lower = np.linalg.qr(weighted.T)
    u, values, vt = np.linalg.svd(upper @ lower.T)
    rank = int(np.count_nonzero(values > ROUNDING * values[0])) if values.size else 0
    k = min(k, rank)
    if k == 0:
        return GrainFit(np.zeros((len(scan), 0)), np.zeros((0, net.shape[1])))
    patterns = LowRank.of((left @ u[:, :rank]).T, values[:rank], vt[:rank] @ right.T)
    found = factorise(patterns, k, max_iterations=MAX_ITERATIONS).patterns
    gram = found @ found.T
    numerator = (weighted @ found.T).T @ scan.T
    weights = solve_weights(numerator, gram).T
    reflections = found / column
    size = np.maximum(reflections.sum(axis=1), 1e-300)
    reflections /= size[:, None]
    return GrainFit(_weigh_each_position(fields, weights * size, reflections), reflections)


def _weigh_each_position(
    fields: DarkFields, weights: np.ndarray, reflections: np.ndarray
) -> np.ndarray:
    """Fit the weights (positions, k) once more, to what each reflection varies by at each position.

    Over the scan a reflection that is bright in one grain is uncertain. Where that grain is not, it
    says much: how weak grains are told apart beside strong ones.
    """
    products = np.einsum("ip,jp->pij", reflections, reflections).reshape(reflections.shape[1], -1)
    k = len(reflections)
    step = max(1, VALUES_AT_ONCE // max(k * k, reflections.shape[1]))
    fitted = np.array(weights)
    for start in range(0, len(fitted), step):
        part = slice(start, start + step)
        own = fitted[part]
        intensity = fields.scan[part] @ fields.net
        for _ in range(ROUNDS):
            expected = own @ reflections
            variance = fields.expected_noise(part, expected) + (CHANGES * expected) ** 2
            gram = (products.T @ (1 / variance).T).T.reshape(-1, k, k)
            _descend(own, (intensity / variance) @ reflections.T, gram)
    return fitted


def _descend(weights: np.ndarray, numerator: np.ndarray, gram: np.ndarray) -> None:
    """Go down to the non-negative weights (positions, k) of least squares, one after the other."""
    for _ in range(SWEEPS):
        for i in range(weights.shape[1]):
            slope = numerator[:, i] - np.einsum("pj,pj->p", gram[:, i], weights)
            step = slope / np.maximum(gram[:, i, i], 1e-300)
            np.maximum(weights[:, i] + step, 0.0, out=weights[:, i])


def disc_variance(fields: DarkFields) -> np.ndarray:
    """Return what the reflection at each place varies by, (place,): by noise and by tilts."""
    mean = fields.scan.mean(axis=0)
    second = (fields.scan.T @ fields.scan) / len(fields.scan)
    squares = np.maximum(((second @ fields.net) * fields.net).sum(axis=0), 0)
    disc = mean @ fields.whole
    disc = np.maximum(disc, DARKEST * disc.mean() if disc.size else 0.0)
    return np.maximum(disc * fields.dispersion + CHANGES**2 * squares, 1e-300)


def _spread_evenly(positions: int) -> np.ndarray:
    """Return the positions to fit: all, or so many of them that no row or column is preferred."""
    if positions <= MOST_POSITIONS:
        return np.arange(positions)
    return np.sort(np.random.default_rng(0).choice(positions, MOST_POSITIONS, replace=False))
